"""A second build, with everything different at once, has the bytes of the first."""

import shutil

import pytest

from benchmarks.reproducibility.__main__ import commands, compare, make_template, tracked
from benchmarks.reproducibility.variations import FAKETIME, UNSHARE, Variation, build

ELSEWHERE = {
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "C",
    "PYTHONHASHSEED": "7",
    "COLUMNS": "40",
    "MKL_CBWR": "AUTO",
    "ATEN_CPU_CAPABILITY": "default",
    "OPENBLAS_CORETYPE": "Prescott",
    "OMP_NUM_THREADS": "4",
}


@pytest.mark.long
def test_a_build_under_other_conditions_has_the_same_bytes(finished, tmp_path):
    make_template(tmp_path / "template")
    user = UNSHARE if shutil.which("unshare") else ()
    day = FAKETIME if shutil.which("faketime") else ()
    command = (*user, *day, "sh", "-c", "umask 077 && exec dvc repro")
    another = Variation("all at once", command, ELSEWHERE, "another folder")
    made = build(tmp_path / "template", tmp_path, another)
    assert compare(tracked(finished.root), tracked(made)).endswith("files equal")


def test_a_moved_byte_is_told(finished, project):
    (project.root / "results" / "gate.txt").write_text("another\n")
    told = compare(tracked(finished.root), tracked(project.root))
    assert told.startswith("**1 of") and "results/gate.txt" in told


def test_the_emulated_build_runs_every_job(finished):
    made = {command[0] for command in commands(finished.root)}
    assert {"corpus", "base", "train", "quantize", "evaluate", "plot", "judge", "gate"} <= made
