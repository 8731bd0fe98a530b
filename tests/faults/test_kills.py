"""kill -9 at random moments: what was reached is kept, and the end is the same to the byte."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from minituner.foundation import parquet, storage
from tests.faults.conftest import end, finish, hashes, remove, start, wait_for
from tests.support.tiny_project import ROOT

MOMENTS = 10
BASE = {"checkpoint": None, "seed": 0, "steps": 150, "batch_size": 8, "learning_rate": 0.01}
BASE |= {"warmup": 5, "weight_decay": 0.01, "eval_every": 3}
MODEL = {"n_layer": 1, "n_head": 2, "d_model": 16, "d_ff": 32, "context": 64}


def test_a_training_job_killed_at_ten_moments_ends_with_the_same_bytes(tmp_path, saw):
    rows = [f"go: yesterday she went to {i}." for i in range(40)]
    splits = ["train"] * 30 + ["val"] * 10
    corpus = tmp_path / "corpus.parquet"
    parquet.write_table(corpus, pa.table({"text": rows, "correct_text": rows, "split": splits}))
    script = Path(__file__).parent / "pretraining.py"
    settings = json.dumps({"model": MODEL, "base": BASE})
    trainer = subprocess.Popen(
        [sys.executable, script, corpus, settings],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def pretrain(out, kill_after=None):
        """Whether it was killed."""
        print(out, file=trainer.stdin, flush=True)
        child = int(trainer.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it was quicker
                os.kill(child, signal.SIGKILL)
        status = int(trainer.stdout.readline())
        assert status in (0, signal.SIGKILL)
        return status == signal.SIGKILL

    with trainer:
        started = time.monotonic()
        pretrain(tmp_path / "whole")
        whole = time.monotonic() - started
        out = tmp_path / "killed" / "base"
        killed = 0
        for _ in range(10 * MOMENTS):  # some come too late: the run is through
            killed += pretrain(out, random.uniform(0, whole / 5))
            if killed == MOMENTS:
                break
        assert killed == MOMENTS
        pretrain(out)
        trainer.stdin.close()
    assert hashes_of(out) == hashes_of(tmp_path / "whole")
    assert not [p for p in out.parent.rglob(".*")]
    saw(
        "kill -9",
        "base pretraining, ten random moments in a row",
        "resumed from its checkpoint each time; the bytes of an uninterrupted run",
    )


def hashes_of(folder):
    return {path.name: storage.sha256(path) for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "moments, lost, target",
    [
        pytest.param(3, ["results/train/lora_r2_s0/*"], "trained", marks=pytest.mark.long),
        pytest.param(MOMENTS, ["data/*.parquet", "results/**/*"], "all", marks=pytest.mark.slow),
    ],
)
def test_snakemake_killed_at_random_moments_finishes_with_the_recorded_bytes(
    project, recorded, saw, moments, lost, target
):
    remove(project, *lost)
    locked = 0
    for _ in range(moments):
        process = start(project, "snakemake", target)
        time.sleep(random.uniform(0.5, 5))
        process.kill()  # Snakemake alone: its jobs live on
        process.wait()
        if list((project.root / ".snakemake" / "locks").glob("*")):
            if not locked:
                said = project.run("snakemake", "all", ok=False).stdout
                assert "cannot be locked" in said and "--unlock" in said
            project.run("snakemake", "--unlock")
            locked += 1
        end(process)
    finish(project, recorded)
    assert not list((project.root / "results").rglob(".*.tmp"))
    saw(
        "kill -9",
        f"Snakemake making `{target}`, {moments} random moments in a row",
        "its lock is named with `--unlock`; then `snakemake all` ends with the recorded bytes",
    )


@pytest.mark.parametrize(
    "name, whom",
    [
        ("SIGTERM", "job"),
        pytest.param("SIGINT", "snakemake", marks=pytest.mark.long),
        pytest.param("SIGINT", "job", marks=pytest.mark.slow),
        pytest.param("SIGTERM", "snakemake", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_the_run_within_five_seconds_and_keeps_the_checkpoint(
    project, name, whom, recorded, saw
):
    project.set("base", steps=10_000_000, eval_every=5)
    kept = project.root / "results" / ".resume" / "base.safetensors"
    process = start(project, "snakemake", "results/base/model.safetensors")
    try:
        wait_for(kept.is_file)
        if whom == "snakemake":
            process.send_signal(getattr(signal, name))
        else:
            os.kill(training(project), getattr(signal, name))
        at = time.monotonic()
        output = process.communicate(timeout=60)[0]
        seconds = time.monotonic() - at
    finally:
        end(process)
    assert seconds < 5
    assert process.returncode == 1 and "Traceback" not in output
    if whom == "job":
        status = {"SIGTERM": 143, "SIGINT": 130}[name]
        assert f"exit status {status}" in output or f"exit code {status}" in output, output
    assert kept.is_file() and not list(project.root.glob("results/**/.*.tmp"))
    assert "Nothing to be done" not in project.run("snakemake", "--dry-run", "base").stdout
    saw(name, f"to {'a training job' if whom == 'job' else 'Snakemake'}",
        "ended within 5 s, no traceback, no lock, last checkpoint kept")  # fmt: skip


def training(project):
    """The process that trains in a project."""
    for folder in os.listdir("/proc"):
        try:
            command = open(f"/proc/{folder}/cmdline", "rb").read().split(b"\0")
            here = os.readlink(f"/proc/{folder}/cwd") == str(project.root)
        except (OSError, NotADirectoryError):
            continue
        if here and command[1:4] == [b"-m", b"minituner", b"base"]:
            return int(folder)
    raise AssertionError("no training job")


@pytest.mark.long
def test_two_at_once_do_not_disturb_each_other(project, recorded, saw):
    remove(project, "results/ablation.png")
    first = start(project, "snakemake", "all")
    try:
        wait_for(lambda: list((project.root / ".snakemake" / "locks").glob("*")))
        os.killpg(first.pid, signal.SIGSTOP)  # lest it ends before the second has begun
        second = project.run("snakemake", "all", ok=False)
        assert second.returncode != 0
        assert "cannot be locked" in second.stdout and "--unlock" in second.stdout
        assert "Traceback" not in second.stdout
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(300) == 0
    finally:
        end(first)
    assert hashes(project.root) == recorded
    assert project.jobs() == {}
    saw(
        "two `snakemake all` at once", "in one folder", "the second is refused; the first ends well"
    )
