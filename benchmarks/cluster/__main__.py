"""Measure the seconds that each way of running a job adds to it, and write them as JSON.

Needs `make slurm`, Debian's Slurm and munge, and root. The jobs do nothing, so all is overhead.
"""

import argparse
import contextlib
import datetime
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minituner.foundation import storage
from tests.cluster.services import Slurm, wait_for

ROOT = Path(__file__).resolve().parents[2]
SNAKEFILE = """
rule all:
    input: expand("out/{i}", i=range(int(config["count"])))

rule one:
    output: "out/{i}"
    resources: mem_mb=500, runtime=5
    shell: "touch {output}"
"""
STATUS = """#!/bin/sh
case $(squeue --noheader --states=all --format=%T --jobs=$1) in
    COMPLETED) echo success ;;
    PENDING|RUNNING|COMPLETING|CONFIGURING) echo running ;;
    *) echo failed ;;
esac
"""
EXECUTORS = {
    "local": ["--cores", "1"],
    "cluster-generic": [
        *("--executor", "cluster-generic", "--cluster-generic-submit-cmd"),
        "sbatch --parsable --no-requeue --mem={resources.mem_mb} --output=/dev/null",
        *("--cluster-generic-status-cmd", "./status.sh"),
    ],
    "slurm": [
        *("--executor", "slurm", "--slurm-status-command", "squeue", "--slurm-no-account"),
        *("--slurm-init-seconds-before-status-checks", "1"),
    ],
}
REMOTE = ["--seconds-between-status-checks", "1", "--latency-wait", "5"]
MANY = 4  # jobs more than one, where each takes seconds
QUICK = 200  # where each takes milliseconds, and Slurm tells times in whole seconds


class Bench:
    """Runs the workflow of empty jobs in fresh folders."""

    def __init__(self, slurm: Slurm, folder: Path) -> None:
        self.slurm, self.folder = slurm, folder
        self.environment = os.environ | slurm.environment
        self.environment["PYTHONPATH"] = str(ROOT / ".venv-slurm")

    def start(self, executor: str, n: int, *options: str) -> subprocess.Popen:
        """Snakemake with `n` jobs, under way."""
        work = Path(tempfile.mkdtemp(dir=self.folder))
        (work / "Snakefile").write_text(SNAKEFILE)
        (work / "status.sh").write_text(STATUS)
        (work / "status.sh").chmod(0o755)
        command = ["snakemake", "--quiet", "all", *EXECUTORS[executor], *options]
        if executor != "local":
            command += REMOTE
        self.log = work / "log"
        with open(self.log, "w") as log:
            return subprocess.Popen(
                [*command, "--config", f"count={n}"],
                cwd=work,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def seconds(self, executor: str, n: int, *options: str) -> float:
        """How long `n` jobs take from start to end."""
        begin = time.monotonic()
        process = self.start(executor, n, *options)
        if process.wait(600):
            sys.exit(f"benchmarks.cluster: error: {executor}: {self.log.read_text()}")
        return time.monotonic() - begin

    def held(self, known: set[str]) -> dict[str, float]:
        """Slurm id → the seconds for which each job that is not `known` held its slot."""
        rows = self.slurm.client(
            "squeue", "--noheader", "--states=completed", "--format=%i|%S|%e"
        ).splitlines()
        found = {}
        for row in rows:
            job, start, end = row.split("|")
            if job not in known:
                start, end = map(datetime.datetime.fromisoformat, (start, end))
                found[job] = (end - start).total_seconds()
        return found


def in_sequence(bench: Bench, executor: str) -> dict[str, float]:
    """Seconds that one job more adds to a run, one after another; and how long it holds a slot."""
    local = executor == "local"
    one_at_a_time, many = ([], QUICK) if local else (["--jobs", "1"], MANY)
    known = set(bench.held(set()))
    one = bench.seconds(executor, 1, *one_at_a_time)
    more = bench.seconds(executor, 1 + many, *one_at_a_time)
    slots = list(bench.held(known).values())
    found = {"start_s": one, "latency_s": (more - one) / many}
    if slots:
        found["slot_s"] = sum(slots) / len(slots)
    return found


def in_a_group(bench: Bench) -> float:
    """Seconds that a member adds to a group's time in its slot."""
    options = ["--groups", "one=many", "--default-resources", "slot=1", "--resources", "slot=1"]
    options += ["--set-resource-scopes", "slot=local", "--jobs", "1"]
    known = set(bench.held(set()))
    bench.seconds("slurm", 1 + MANY, *options, "--group-components", f"many={1 + MANY}")
    (group,) = bench.held(known).values()
    return group / (1 + MANY)


def submission(bench: Bench, executor: str, n: int = QUICK) -> float:
    """Seconds from one submission to the next, while no job may start and take a core."""
    bench.slurm.client("scontrol", "update", "PartitionName=main", "State=DOWN")
    waiting = ["squeue", "--noheader", "--states=pending", "--format=%V"]
    process = bench.start(executor, n, "--jobs", "1000")
    try:
        wait_for(lambda: len(bench.slurm.client(*waiting).split()) == n, "all submissions", 300)
        times = sorted(map(datetime.datetime.fromisoformat, bench.slurm.client(*waiting).split()))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        bench.slurm.client("scancel", "--user=root")
        bench.slurm.client("scontrol", "update", "PartitionName=main", "State=UP")
    return (times[-1] - times[0]).total_seconds() / (n - 1)


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        with Slurm(Path(folder) / "services") as slurm:
            bench = Bench(slurm, Path(folder))
            found = {"local": in_sequence(bench, "local")}
            # So far no child was larger than Snakemake.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
            found |= {name: in_sequence(bench, name) for name in ("cluster-generic", "slurm")}
            found["slurm"]["member_s"] = in_a_group(bench)
            for name in ("cluster-generic", "slurm"):
                found[name]["submit_s"] = submission(bench, name)
    found["snakemake_mb"] = peak
    found["load"] = os.getloadavg()[0]
    storage.write_json(out, found)


if __name__ == "__main__":
    main()
