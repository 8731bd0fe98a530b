"""Faults injected for real, and the page that says what came of each: docs/reliability.md.

`make test` runs the quickest case of each kind; `make reliability` also those marked as slow.
"""

import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.tiny_project import BIN


def mounted(command, folder):
    """Run a mount; skip where that takes rights that the tests do not have."""
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting takes root")
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    yield mounted(command, folder)
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def recorded(finished):
    """SHA-256 of each artifact of the finished project, as `dvc.lock` has it committed."""
    return hashes(finished.root)


def hashes(root):
    """SHA-256 by path of what the workflow makes in a project; records of provenance left out."""
    kept = {}
    for top in ("data", "results"):
        for path in sorted((root / top).rglob("*")):
            name = str(path.relative_to(root))
            if path.is_file() and ".provenance" not in name:
                kept[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return kept


def remove(project, *patterns):
    """Remove the files that match, as if they had not been made yet."""
    for pattern in patterns:
        for path in filter(Path.is_file, list(project.root.glob(pattern))):
            path.unlink()


def start(project, *command):
    """Start a command in a project, in a process group of its own, and do not wait."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DVC_"))}
    environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        list(map(str, command)),
        cwd=project.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds=300):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def end(process):
    """Kill what is left of a process group; its output so far."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return process.communicate()[0]


def finish(project, recorded):
    """The next `snakemake all` ends with the recorded bytes and leaves nothing to do.

    `trained` comes first: Snakemake does not miss an adapter if what was made of it is there.
    """
    project.run("snakemake", "trained")
    project.run("snakemake", "all")
    assert hashes(project.root) == recorded
    assert project.jobs() == {}
