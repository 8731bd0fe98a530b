"""The same bytes from other CPUs, another architecture and another PyTorch, most under qemu."""

import os
import shutil
import subprocess
import sys

import pytest

from benchmarks.reproducibility.__main__ import build_emulated, compare, make_template, tracked
from tests.support import arm64

WORK = "tests.compute.everywhere"
CPUS = ["Haswell", "EPYC-Milan"]
# What a user may have set, none of which matters any more.
SETTINGS = {
    "MKL_CBWR": "AUTO",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Prescott",
    "OMP_NUM_THREADS": "4",
}


def start(*launcher, steps=20, **environment):
    """A fresh process that runs WORK; `launcher` stands for its Python."""
    return subprocess.Popen(
        [*(launcher or [sys.executable]), "-m", WORK, str(steps)],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        cwd=arm64.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def hashes(process, pinned=True):
    """What WORK printed."""
    printed, errors = process.communicate(timeout=2400)
    assert process.returncode == 0, errors
    assert ("not reproducible byte for byte here" in errors) != pinned, errors
    return printed.splitlines()


@pytest.fixture(scope="module")
def native():
    lines = hashes(start())
    assert len(lines) == 1 + 3 * 3 + 1
    return lines


def test_what_the_user_has_set_does_not_matter(native):
    assert hashes(start(**SETTINGS)) == native


def test_without_the_loops_the_bytes_do_differ(native):
    """Else the tests here could not fail."""
    assert hashes(start(MINITUNER_NUMERICS="unrestricted"), pinned=False) != native


@pytest.mark.long
def test_other_x86_cpus_train_the_same_bytes():
    qemu = shutil.which("qemu-x86_64")
    if not qemu:
        pytest.skip("qemu-x86_64 is missing: apt-get install qemu-user")
    here = hashes(start(steps=3))
    running = [start(qemu, "-cpu", cpu, sys.executable, steps=3) for cpu in CPUS]
    assert [hashes(process) for process in running] == [here] * len(CPUS)


@pytest.mark.long
@pytest.mark.parametrize("cpu", arm64.CPUS)
def test_arm64_with_another_torch_trains_the_same_bytes(native, cpu):
    if arm64.missing():
        pytest.skip(arm64.missing())
    assert hashes(start(*arm64.command(cpu), **arm64.environment())) == native


@pytest.mark.long
def test_arm64_with_another_torch_builds_the_same_tiny_project(finished, tmp_path):
    if arm64.missing():
        pytest.skip(arm64.missing())
    make_template(tmp_path / "template")
    made = build_emulated(
        tmp_path / "template", tmp_path, arm64.command("SVE"), arm64.environment()
    )
    here = tracked(finished.root)
    unequal = {name for name, digest in tracked(made).items() if here[name] != digest}
    assert unequal <= {"results/report.html"}, compare(here, tracked(made))
