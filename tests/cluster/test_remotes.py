"""Stores across a network, for real: DVC over ssh to an sshd and over WebDAV to a server."""

import hashlib
import os
import shutil
import signal
import subprocess

import pytest

from tests.cluster.conftest import EXTRAS, hashes, need
from tests.cluster.services import Ssh, WebDav, wait_for
from tests.support.tiny_project import BIN, Project


@pytest.fixture(params=["ssh", "webdav"])
def server(request, tmp_path):
    """A server with an empty store, to which nothing but the user's own key opens the way."""
    need("/usr/sbin/sshd", "ssh-keygen", extra="remotes")
    if request.param == "ssh":
        served = Ssh(tmp_path / "server", tmp_path)
    else:
        served = WebDav(tmp_path / "server", EXTRAS["remotes"])
    with served:
        yield served


def project(root):
    return Project(root, extra={"PYTHONPATH": str(EXTRAS["remotes"])})


@pytest.fixture
def origin(finished, tmp_path):
    """The finished tiny project."""
    shutil.copytree(finished.root, tmp_path / "origin", symlinks=True)
    return project(tmp_path / "origin")


@pytest.fixture
def clone(finished, tmp_path):
    """A fresh clone of it."""
    finished.run("git", "clone", "--quiet", finished.root, tmp_path / "clone")
    return project(tmp_path / "clone")


def objects(server):
    """The objects of a store, not those still under a temporary name."""
    return [p for p in server.store.rglob("*") if p.is_file() and not p.name.endswith(".tmp")]


def cut_short(server):
    """The objects whose name is not their content's hash."""
    return [
        path
        for path in objects(server)
        if hashlib.md5(path.read_bytes()).hexdigest()
        != (path.parent.name + path.name).removesuffix(".dir")
    ]


def test_what_one_checkout_pushes_another_pulls_and_has_nothing_to_run(
    origin, clone, server, finished, saw
):
    origin.make("REMOTES=", "push", f"REMOTE={server.url}")
    clone.make("REMOTES=", "pull", f"REMOTE={server.url}")
    assert clone.jobs() == {}
    assert clone.stale_stages() == set()
    assert hashes(clone) == hashes(finished)
    saw("none", f"push, fresh clone, pull: {server.kind}", "the same bytes, no job left to run")


@pytest.mark.slow
def test_a_push_that_was_killed_is_taken_up_again(origin, clone, server, finished, saw):
    origin.make("REMOTES=", "remote", f"REMOTE={server.url}")
    push = subprocess.Popen(
        [BIN / "dvc", "push", "--jobs", "1"],
        cwd=origin.root,
        env=origin.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: len(objects(server)) > 5 or push.poll() is not None, "the first objects")
    os.killpg(push.pid, signal.SIGKILL)
    assert push.wait() == -signal.SIGKILL
    # Over WebDAV the object under way keeps its name; over ssh it had a temporary one.
    torn = cut_short(server)
    assert not torn or isinstance(server, WebDav)
    for path in torn:
        path.unlink()
    before = len(objects(server))
    assert clone.make("REMOTES=", "pull", f"REMOTE={server.url}", ok=False).returncode != 0
    origin.make("REMOTES=", "push")
    assert len(objects(server)) > before
    clone.make("REMOTES=", "pull")
    assert clone.jobs() == {}
    assert hashes(clone) == hashes(finished)
    saw("kill -9", f"a push half-way: {server.kind}", "a pull fails; the next push sends the rest")


@pytest.mark.slow
def test_a_damaged_object_is_not_delivered_and_can_be_replaced(
    origin, clone, server, finished, saw
):
    origin.make("REMOTES=", "push", f"REMOTE={server.url}")
    victim = max(objects(server), key=lambda path: path.stat().st_size)
    damaged = bytearray(victim.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    victim.write_bytes(damaged)
    done = clone.make("REMOTES=", "pull", f"REMOTE={server.url}", ok=False)
    assert done.returncode != 0
    assert "holds them damaged" in done.stdout
    # What is small enough for git to hold is there; nothing that is there has other bytes.
    assert hashes(clone).items() < hashes(finished).items()
    victim.unlink()
    origin.make("REMOTES=", "push")
    clone.make("REMOTES=", "pull")
    assert hashes(clone) == hashes(finished)
    saw(
        "one bit flipped",
        f"a stored object: {server.kind}",
        "a pull fails and delivers no such file",
    )
