"""The tiny project on a real Slurm, its results in real remote stores.

CI runs the shortest of it; `make cluster` also what is marked as slow: lost nodes, time limits,
broken pushes. Without root, Debian's programs (`make services`) or the optional packages
(`make slurm remotes`) the tests are skipped and say so.
"""

import os
import shutil

import pytest

from minituner.foundation import storage
from tests.cluster.runs import Run
from tests.cluster.services import Slurm, wait_for
from tests.support.tiny_project import ROOT, finished  # noqa: F401

BASE = "results/base/model.safetensors"
EXTRAS = {"slurm": ROOT / ".venv-slurm", "remotes": ROOT / ".venv-remotes"}


def need(*programs, extra):
    """Skip, and say why, unless the programs and the packages of an extra are there."""
    if os.geteuid():
        pytest.skip("its services are started as root")
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed and could not be")
    if not EXTRAS[extra].is_dir():
        pytest.skip(f"{EXTRAS[extra].name} is missing")


def hashes(project):
    """Every file of data/ and results/ → the hash of its bytes, records of provenance left out."""
    return {
        str(path.relative_to(project.root)): storage.sha256(path)
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
def start(slurm, tmp_path_factory):
    """Sets a run going."""
    begun = []

    def run(name, *arguments, busy=False):
        root = tmp_path_factory.mktemp(name) / "project"
        begun.append(Run(slurm, EXTRAS["slurm"], root, *arguments, busy=busy))
        return begun[-1]

    yield run
    for each in begun:
        each.stop()


@pytest.fixture(scope="session")
def whole(start):
    """The whole workflow, under way; its first `sbatch` is refused."""
    return start("whole", "all", busy=True)


@pytest.fixture(scope="session")
def disturbed(slurm, start, request):
    """Two runs whose `base` comes to a halt, with a whole one beside them.

    One stays so until its time limit, a minute at first, then two. The node of the other dies.
    """
    elsewhere = 'base:slurm_extra="--nodelist=node2"'
    limits = ["--set-resources", "base:runtime=attempt", elsewhere]
    found = {
        "limited": start("limited", *limits, "--", BASE),
        "lost": start("lost", "--", BASE),
    }
    request.getfixturevalue("whole")

    def both_held():
        for run in found.values():
            run.held = run.held or run.hold("base")
        return all(run.held for run in found.values())

    wait_for(both_held, "the jobs of base", 400)
    node = found["lost"].outcome()[found["lost"].held]["node"]
    slurm.crash(node)
    wait_for(lambda: slurm.states()[node].startswith("DOWN"), "the loss of the node", 120)
    slurm.start_node(node)
    return found
