"""A killed run goes on where it was and ends with the bytes of one that was never killed."""

import pytest
import torch

from minituner import train
from minituner.checkpoints import resume
from minituner.foundation import parquet
from tests.support.command import call
from tests.support.runs import BASE, LORA, MODEL, TUNING

DROPOUT = {"tuning": TUNING, "lora": {**LORA, "dropout": 0.5}, "full": {"learning_rate": 1e-3}}


class Killed(BaseException):
    """Stands for SIGKILL: nothing below catches it."""


@pytest.fixture(autouse=True)
def always_kept(monkeypatch):
    monkeypatch.setattr(resume, "INTERVAL", 0)


def killed_at(monkeypatch, evaluation):
    """Let the run die while it reports its n-th evaluation."""
    rows = []

    def report(row):
        rows.append(row)
        if len(rows) == evaluation:
            raise Killed

    monkeypatch.setattr(train, "show_losses", report)


def pretrain(corpus, out, **options):
    settings = {"model": MODEL, "base": BASE | {"steps": 12} | options}
    call("base", given=settings, corpus=corpus, out=out)


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("evaluation", [1, 2, 3, 4])
def test_a_resumed_base_has_the_bytes_of_an_uninterrupted_one(
    corpus,
    tmp_path,
    monkeypatch,
    capsys,
    evaluation,
):
    pretrain(corpus, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, evaluation)
        pretrain(corpus, tmp_path / "killed")
    assert not (tmp_path / "killed").exists()
    capsys.readouterr()
    pretrain(corpus, tmp_path / "killed")
    resumed = {1: "step     0", 2: "resumed at step 1\n", 3: "resumed at step 5\n"}
    assert capsys.readouterr().out.startswith(resumed.get(evaluation, "resumed at step 9\n"))
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    assert not (tmp_path / ".resume").exists()


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_resumed_tuning_draws_the_dropout_of_an_uninterrupted_one(
    base, irregular, tmp_path, monkeypatch, method
):
    options = {"method": method, "base": base, "irregular": irregular, "seed": 1}
    options |= {"given": DROPOUT, "rank": None if method == "full" else 2}
    call("train", out=tmp_path / "whole", **options)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, 3)
        call("train", out=tmp_path / "killed", **options)
    torch.rand(3)
    call("train", out=tmp_path / "killed", **options)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("change", ["settings", "corpus", "broken"])
def test_what_another_run_kept_is_not_gone_on_from(
    corpus,
    tmp_path,
    monkeypatch,
    capsys,
    change,
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, 3)
        pretrain(corpus, tmp_path / "base")
    (checkpoint,) = (tmp_path / ".resume").glob("*.safetensors")
    if change == "corpus":
        table = parquet.read_table(corpus)
        parquet.write_table(corpus, table.slice(1))
    if change == "broken":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    pretrain(corpus, tmp_path / "base", **({"seed": 1} if change == "settings" else {}))
    assert "resumed" not in capsys.readouterr().out


def test_short_runs_write_no_checkpoint(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "INTERVAL", 3600)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, 3)
        pretrain(corpus, tmp_path / "base")
    assert not list(tmp_path.rglob("*.safetensors"))
