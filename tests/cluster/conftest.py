"""What `make cluster` runs: the tiny project on a real Slurm, its results in real remote stores.

Without MINITUNER_CLUSTER=1, which `make cluster` sets, without its optional packages or Debian's
programs, the tests are skipped and say so.
"""

import os
import shutil

import pytest

from minituner import files
from tests.tiny_project import ROOT, finished  # noqa: F401

from .runs import Run
from .services import Slurm, wait_for

BASE = "results/base/model.safetensors"
EXTRAS = {"slurm": ROOT / ".venv-slurm", "remotes": ROOT / ".venv-remotes"}


@pytest.fixture(scope="session", autouse=True)
def asked_for():
    """Nothing here is part of `make test`, not even the tiny project that these tests need."""
    if not os.environ.get("MINITUNER_CLUSTER"):
        pytest.skip("run by `make cluster`")
    if os.geteuid():
        pytest.skip("its services are started as root")


def need(*programs, extra):
    """Skip, and say why, unless the programs and the packages of an extra are there."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed and could not be")
    if not EXTRAS[extra].is_dir():
        pytest.skip(f"{EXTRAS[extra].name} is missing")


def hashes(project):
    """Every file of data/ and results/ → the hash of its bytes, records of provenance left out."""
    return {
        str(path.relative_to(project.root)): files.sha256(path)
        for folder in ("data", "results")
        for path in sorted((project.root / folder).rglob("*"))
        if path.is_file() and path.parent.name != ".provenance"
    }


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    need("munged", "slurmctld", "slurmd", "sbatch", extra="slurm")
    with Slurm(tmp_path_factory.mktemp("slurm") / "services") as slurm:
        yield slurm


@pytest.fixture(scope="session")
def runs(slurm, tmp_path_factory):
    """Three runs: the whole workflow, and two whose `base` comes to a halt.

    One stays so until its time limit, a minute at first, then two. The node of the other dies.
    """

    def start(name, *arguments):
        return Run(slurm, EXTRAS["slurm"], tmp_path_factory.mktemp(name) / "project", *arguments)

    elsewhere = 'base:slurm_extra="--nodelist=node2"'
    limits = ["--set-resources", "base:runtime=attempt", elsewhere]
    found = {
        "limited": start("limited", *limits, "--", BASE),
        "lost": start("lost", "--", BASE),
        "whole": start("whole", "all"),
    }
    try:
        held = {}

        def both_held():
            for name in {"limited", "lost"} - held.keys():
                job = found[name].hold("base")
                held.update({name: job} if job else {})
            return len(held) == 2

        wait_for(both_held, "the jobs of base", 400)
        found["limited"].held, found["lost"].held = held["limited"], held["lost"]
        node = found["lost"].outcome()[held["lost"]]["node"]
        slurm.crash(node)
        wait_for(lambda: slurm.states()[node].startswith("DOWN"), "the loss of the node", 120)
        slurm.start_node(node)
        yield found
    finally:
        for run in found.values():
            run.stop()
