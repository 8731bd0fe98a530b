"""The same workflow on a real Slurm of two nodes: the same bytes, also when nodes and jobs are lost.

Slurm takes its time, half a minute to see that a limit is passed, so the three runs go side by side.
"""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, TINY, Project, project_files

from .conftest import EXTRAS, hashes, need
from .services import Slurm, wait_for

PROFILE = ["snakemake", "--profile", "profiles/slurm"]
# Impatient, because everything is near.
FAST = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]
FAST += ["--latency-wait", "5"]
BASE = "results/base/model.safetensors"


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    need("munged", "slurmctld", "slurmd", "sbatch", extra="slurm")
    with Slurm(tmp_path_factory.mktemp("slurm") / "services") as slurm:
        yield slurm


class Run:
    """A fresh tiny project whose jobs are on their way through Slurm."""

    def __init__(self, slurm, root, *arguments):
        self.slurm = slurm
        for name in project_files():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
        extra = slurm.environment | {"PYTHONPATH": str(EXTRAS["slurm"])}
        self.project = Project(root, extra=extra)
        for section, values in TINY.items():
            self.project.set(section, **values)
        self.log = root.parent / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [*PROFILE, *FAST, *arguments],
                cwd=root,
                env=self.project.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self):
        return self.log.read_text()

    def finish(self, seconds=180):
        """Wait for the end, which must be a success."""
        status = self.process.wait(seconds)
        assert status == 0, self.said()

    def ids(self):
        """The Slurm ids of this run's jobs, in order."""
        return re.findall(r"SLURM jobid (\d+)", self.said())

    def running(self, rule):
        """The running Slurm job that holds a process of this run's `rule`, and that process."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                if [b"-m", b"minituner", rule.encode()] == command[1:4]:
                    if (folder / "cwd").resolve() == self.project.root:
                        environment = (folder / "environ").read_bytes()
                        job = re.search(rb"SLURM_JOB_ID=(\d+)", environment)[1].decode()
                        return job, int(folder.name)
            except (OSError, TypeError):
                continue  # it just ended
        return None

    def hold(self, rule):
        """Bring the running job of a rule to a halt, as a hung file system would; its Slurm id."""
        job, process = wait_for(lambda: self.running(rule), f"the job of {rule}", 120)
        os.kill(process, signal.SIGSTOP)
        return job

    def outcome(self):
        """Slurm id → what became of it, for all jobs of this run."""
        return {row["id"]: row for row in self.slurm.jobs() if row["id"] in self.ids()}

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="session")
def runs(slurm, tmp_path_factory):
    """All of them started: the whole workflow, and two that faults await."""

    def start(name, *arguments):
        return Run(slurm, tmp_path_factory.mktemp(name) / "project", *arguments)

    # At first the base may take one minute, then two.
    limited = start("limited", "--set-resources", "base:runtime=attempt", "--", BASE)
    whole = start("whole", "all")
    lost = start("lost", "--", BASE)
    yield {"limited": limited, "whole": whole, "lost": lost}
    for run in (limited, whole, lost):
        run.stop()


@pytest.fixture(scope="session")
def held(runs):
    """The job that will run into its time limit."""
    return runs["limited"].hold("base")


def test_when_a_node_dies_its_job_is_tried_again_on_another(held, runs, slurm, finished):
    job = runs["lost"].hold("base")
    (node,) = [row["node"] for row in slurm.jobs() if row["id"] == job]
    slurm.crash(node)
    runs["lost"].finish()
    slurm.start_node(node)
    outcome = runs["lost"].outcome()
    assert outcome[job]["state"] == "NODE_FAIL"
    assert list(outcome.values())[-1]["state"] == "COMPLETED"
    assert list(outcome.values())[-1]["node"] != node
    assert hashes(runs["lost"].project).items() <= hashes(finished).items()


def test_the_whole_workflow_on_slurm_makes_the_same_bytes(runs, finished):
    runs["whole"].finish()
    assert hashes(runs["whole"].project) == hashes(finished)


def test_a_job_past_its_time_limit_is_tried_again_with_more_time(held, runs, slurm, finished):
    runs["limited"].finish()
    outcome = runs["limited"].outcome()
    assert (outcome[held]["state"], outcome[held]["limit"]) == ("TIMEOUT", "1:00")
    assert [row["state"] for row in outcome.values() if row["limit"] == "2:00"] == ["COMPLETED"]
    assert hashes(runs["limited"].project).items() <= hashes(finished).items()
