"""The machine around the run: its clock set back, its memory exhausted."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.conftest import end, finish, remove, start, wait_for

DAY = 86_400


@pytest.mark.long
def test_a_clock_set_back_is_named_and_its_remedy_works(project, recorded, saw):
    """All of the past lies a day in the future."""
    for path in project.root.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            at = path.stat().st_mtime_ns + DAY * 10**9
            os.utime(path, ns=(at, at))
    done = project.run("snakemake", "all", ok=False)
    assert done.returncode != 0 and "changed in the future" in done.stdout
    (remedy,) = [line.split("`")[1] for line in done.stdout.splitlines() if "future" in line]
    project.run("sh", "-c", remedy)
    project.make("sync")
    assert project.jobs() == {}
    project.set("evaluate", bootstrap=21)
    again = {"summarize", "plot", "judge", "values", "completions", "card", "report", "gate"}
    assert set(project.jobs()) == again
    project.set("evaluate", bootstrap=20)
    finish(project, recorded)
    saw("clock set back", "by a day, between two runs", "named with a remedy that works")


class Cgroup:
    """A group of processes with a limit of memory, in the first or the second version."""

    def __init__(self):
        first = Path("/sys/fs/cgroup/memory")
        parent = first if first.is_dir() else Path("/sys/fs/cgroup")
        self.limit_name = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
        self.folder = parent / f"minituner-test-{os.getpid()}"

    def __enter__(self):
        try:
            self.folder.mkdir()
            self.limit(1 << 40)
        except OSError:
            pytest.skip("limiting memory takes root and a cgroup of memory that may be written")
        return self

    def limit(self, size):
        (self.folder / self.limit_name).write_text(str(size))

    def add(self, pid):
        (self.folder / "cgroup.procs").write_text(str(pid))

    def __exit__(self, *_):
        for _ in range(100):
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.05)


@pytest.mark.long
def test_a_job_killed_for_want_of_memory_is_tried_again(project, recorded, saw):
    remove(project, "results/train/lora_r1_s0/*")
    target = "results/train/lora_r1_s0/adapter_model.safetensors"
    with Cgroup() as group:
        process = start(project, "snakemake", "--retries", "1", target)
        try:
            wait_for(lambda: job(project))
            victim = job(project)
            group.limit(20 << 20)  # torch alone takes more
            group.add(victim)
            wait_for(lambda: not Path(f"/proc/{victim}").exists())
            output = process.communicate(timeout=120)[0]
        finally:
            end(process)
    assert process.returncode == 0, output
    assert "Trying to restart job" in output
    finish(project, recorded)
    saw("out of memory", "a job killed by the kernel", "retried by `--retries`; the same bytes")


def job(project):
    """The process of a training job in a project, once it runs Python."""
    for folder in filter(str.isdecimal, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{folder}/cmdline").read_bytes().split(b"\0")
            here = os.readlink(f"/proc/{folder}/cwd") == str(project.root)
        except OSError:
            continue
        if here and command[1:3] == [b"-m", b"minituner"]:
            return int(folder)
    return None


def test_memory_refused_by_the_system_is_one_line(project, saw):
    """With a limit on addresses, allocations fail instead of the process being killed."""
    code = (
        "import resource, sys, torch; from minituner.workflow import cli;"
        "loaded = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (loaded + (64 << 20),) * 2);"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    project.set("model", d_model=4096, d_ff=4096, n_layer=100)
    done = subprocess.run(
        [sys.executable, "-c", code, "base", "--corpus", "data/corpus.parquet", "--out", "out"],
        cwd=project.root, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "minituner: error: out of memory; " in done.stderr
    saw("out of memory", "an allocation refused", "one line with the remedy")
