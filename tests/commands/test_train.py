"""Tuning changes what it should, nothing else, and the same way every time."""

import csv
import json

import pyarrow as pa
import pytest
import torch

from minituner.checkpoints.models import load_tensors
from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from tests.support.command import call
from tests.support.runs import LORA, NF4, SETTINGS, TUNING


@pytest.fixture
def tune(base, irregular):
    """`minituner train`, on `base` and with seed 0 unless told otherwise."""

    def run(out, method="lora", rank=2, settings=SETTINGS, **options):
        options = {"base": base, "irregular": irregular, "seed": 0} | options
        call("train", given=settings, method=method, rank=rank, out=out, **options)

    return run


def adapter_bytes(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_the_same_seed_gives_the_same_bytes(base, tune, tmp_path, method):
    if method == "qlora":
        call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "nf4")
        base = tmp_path / "nf4"
    rank = None if method == "full" else 2
    for out in ("a", "b"):
        torch.rand(3)  # what was drawn before must not matter
        tune(tmp_path / out, method, rank, base=base, seed=1)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_shards_with_dropout_are_drawn_for_in_order(tune, tmp_path):
    settings = {**SETTINGS, "tuning": TUNING | {"shards": 2}, "lora": LORA | {"dropout": 0.5}}
    for threads in (1, 2):
        tune(tmp_path / str(threads), settings=settings, threads=threads)
    assert adapter_bytes(tmp_path / "1") == adapter_bytes(tmp_path / "2")


def test_tuning_never_reads_rows_of_the_test_or_of_another_set(irregular, tune, tmp_path):
    tune(tmp_path / "a")
    rows = parquet.read_table(irregular).to_pylist()
    parquet.write_table(irregular, pa.Table.from_pylist([r for r in rows if r["split"] != "test"]))
    tune(tmp_path / "b")
    assert adapter_bytes(tmp_path / "a") == adapter_bytes(tmp_path / "b")


def test_the_adapter_has_only_the_adapter_in_it(tune, tmp_path):
    tune(tmp_path / "a")
    tensors = load_tensors(tmp_path / "a" / "adapter_model.safetensors")
    assert len(tensors) == 2 * 2 * 2  # layers × targets × (A, B)
    assert all(".lora_" in name for name in tensors)
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["r"] == 2


def test_tuning_lowers_the_loss_on_the_form(tune, tmp_path):
    tune(tmp_path / "a", rank=4, settings={**SETTINGS, "tuning": {**TUNING, "steps": 60}})
    rows = list(csv.DictReader((tmp_path / "a" / "curve.csv").open()))
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"]) - 0.1


def test_the_wrong_kind_of_base_is_refused(tune, tmp_path):
    with pytest.raises(UserError, match="a float base does not fit method qlora"):
        tune(tmp_path / "a", "qlora")
    assert not (tmp_path / "a").exists()


def test_a_rank_above_the_width_is_refused(tune, tmp_path):
    with pytest.raises(UserError, match="rank 17 is outside 1 … 16"):
        tune(tmp_path / "a", rank=17)


def test_a_diverging_run_says_so_and_leaves_nothing(tune, tmp_path):
    settings = {**SETTINGS, "full": {"learning_rate": 1e30}}
    with pytest.raises(UserError, match="the loss is .*; lower the learning_rate"):
        tune(tmp_path / "a", "full", None, settings)
    assert not (tmp_path / "a").exists()
