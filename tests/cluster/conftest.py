"""What `make cluster` runs: the tiny project on a real Slurm, and its results in real remote stores.

`make cluster` names in MINITUNER_CLUSTER the folder that holds the optional packages; without it, or
without Debian's programs, the tests are skipped and say so.
"""

import os
import shutil

import pytest

from minituner import files
from tests.workflow.conftest import ROOT, finished  # noqa: F401

EXTRAS = {"slurm": ROOT / ".venv-slurm", "remotes": ROOT / ".venv-remotes"}


def need(*programs, extra):
    """Skip, and say why, unless the programs and the packages of an extra are there."""
    if not os.environ.get("MINITUNER_CLUSTER"):
        pytest.skip("run by `make cluster`")
    if os.geteuid():
        pytest.skip("its services are started as root")
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed and could not be")
    if not EXTRAS[extra].is_dir():
        pytest.skip(f"{EXTRAS[extra].name} is missing")


def hashes(project):
    """Every file of data/ and results/ → the hash of its bytes."""
    return {
        str(path.relative_to(project.root)): files.sha256(path)
        for folder in ("data", "results")
        for path in sorted((project.root / folder).rglob("*"))
        if path.is_file()
    }
