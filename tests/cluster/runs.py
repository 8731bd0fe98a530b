"""A run of the tiny project on Slurm, in the background."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support.tiny_project import BIN, ROOT, Project, project_files

PROFILE = ["snakemake", "--profile", "profiles/slurm"]
# Impatient, because everything is near.
FAST = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]
FAST += ["--latency-wait", "5", "--slurm-keep-successful-logs"]


def refuse_once(folder, program):
    """Put into a folder a program that fails at its first call, as one whose server is busy."""
    folder.mkdir()
    script = folder / program
    script.write_text(
        f'#!/bin/sh\nmkdir "$0.refused" 2> /dev/null || exec {shutil.which(program)} "$@"\n'
        f"echo {program}: error: Socket timed out on send/recv operation >&2\nexit 1\n"
    )
    script.chmod(0o755)


class Run:
    """A fresh tiny project whose jobs are on their way through Slurm.

    Where it is `busy`, Slurm refuses the first of them.
    """

    def __init__(self, slurm, packages, root, *arguments, busy=False):
        self.slurm = slurm
        self.held = None  # the id of the job that was brought to a halt
        for name in project_files():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
        extra = slurm.environment | {"PYTHONPATH": str(packages)}
        if busy:
            refuse_once(root.parent / "bin", "sbatch")
            extra["PATH"] = os.pathsep.join(
                map(str, (root.parent / "bin", BIN, os.environ["PATH"]))
            )
        self.project = Project(root, extra=extra)
        self.project.make_tiny()
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

    def finish(self, seconds=600):
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
        """Bring the running job of a rule to a halt, as a hung disk would; its Slurm id or None."""
        found = self.running(rule)
        if found:
            os.kill(found[1], signal.SIGSTOP)
            return found[0]
        return None

    def jobs_of_rules(self):
        """Rule → the Slurm jobs whose logs show it."""
        found = {}
        for log in (self.project.root / ".snakemake" / "slurm_logs").rglob("*.log"):
            for rule in re.findall(r"^rule (\w+):", log.read_text(), re.M):
                found.setdefault(rule, set()).add(log.stem)
        return found

    def outcome(self):
        """Slurm id → what became of it, for all jobs of this run, in order; squeue has its own."""
        rows = {row["id"]: row for row in self.slurm.jobs()}
        return {job: rows[job] for job in self.ids()}

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
