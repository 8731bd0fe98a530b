"""The same bytes from other CPUs and under other settings of the libraries."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import x86

WORK = "tests.compute.everywhere"
ROOT = Path(__file__).resolve().parents[2]
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
        cwd=ROOT,
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
    assert len(lines) == 1 + 4 * 3 + 1
    return lines


def test_what_the_user_has_set_does_not_matter(native):
    assert hashes(start(**SETTINGS)) == native


def test_without_the_loops_the_bytes_do_differ(native):
    """Else the tests here could not fail."""
    assert hashes(start(MINITUNER_NUMERICS="unrestricted"), pinned=False) != native


@pytest.mark.long
@pytest.mark.skipif(platform.machine() != "x86_64", reason="compiles for x86-64-v3")
def test_for_which_cpu_the_loops_are_compiled_does_not_matter(native):
    """With AVX-512, whose tiles are twice as wide, this holds both kinds to each other."""
    assert hashes(start(**x86.V3)) == native


@pytest.mark.long
def test_another_x86_cpu_trains_the_same_bytes():
    """The vectors of x86-64-v3 and no more; `snakemake reproducibility` tries another, too."""
    qemu = shutil.which("qemu-x86_64")
    if not qemu:
        pytest.skip("qemu-x86_64 is missing: apt-get install qemu-user")
    here = hashes(start(steps=3, **x86.V3))  # compiles what the emulated CPU then finds on disk
    assert hashes(start(qemu, "-cpu", "Haswell", sys.executable, steps=3, **x86.V3)) == here
