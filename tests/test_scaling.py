"""A step at any shape holds what the formula says, and never a float copy of a quantized model."""

import itertools
import weakref

import pandas as pd
import pytest
import torch

from minituner.budget import decoder, peak
from minituner.budget import formula as counts
from minituner.budget import measure as memory
from minituner.budget.decoder import Decoder
from minituner.budget.formula import BUCKETS, Regime
from minituner.budget.shapes import Shape
from minituner.foundation import storage
from minituner.reporting import scaling_figure

KINDS = list(itertools.product([False, True], ["layer", "rms"], [4, 2], [True, False]))


def shape(gated=True, norm="rms", kv=2, tied=False):
    return Shape(
        2, 32, 4, 48, 50, kv, gated_mlp=gated, norm=norm, tied=tied, attention_bias=tied,
        mlp_bias=tied, positions=0 if gated else 16,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_all_four_buckets_are_the_formulas_to_the_byte(kind, method):
    small = shape(*kind)
    everything = tuple(small.linears())
    up = "up_proj" if small.gated_mlp else "fc2"
    ids = torch.randint(50, (2, 12))
    for targets in (everything, ("q_proj", "v_proj"), ("o_proj",), (up,)):
        regime = Regime("full") if method == "full" else Regime(method, 2, targets)
        held = memory.measure(Decoder(small, regime), ids, ids.clone())
        row = counts.count(small, regime, 2 * 12)
        assert held == {bucket: row[f"{bucket}_bytes"] for bucket in BUCKETS}, targets


def test_a_step_changes_the_adapter_only():
    small = shape()
    model = Decoder(small, peak.regime_of(small, "qlora"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    memory.measure(model, *peak.batch(small))
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    assert moved and all("lora_" in name for name in moved)


def test_while_building_one_float_weight_at_most_is_alive(monkeypatch):
    drawn, alive = [], []
    quantize = decoder.nf4.quantize

    def watched(weight, *rest):
        alive.append(sum(reference() is not None for reference in drawn))
        drawn.append(weakref.ref(weight))
        return quantize(weight, *rest)

    monkeypatch.setattr(decoder.nf4, "quantize", watched)
    Decoder(shape(), peak.regime_of(shape(), "qlora"))
    assert len(alive) == 2 * 7
    assert max(alive) == 0


@pytest.fixture
def points(tmp_path, monkeypatch):
    """Two shapes by two methods, one of them too large for the memory it is given."""
    monkeypatch.setattr(peak, "TOKENS", 8)
    shapes = ("minigpt", "minigpt,n_layer=6")
    for name, method in itertools.product(shapes, ("lora", "qlora")):
        free = 1000 if (name, method) == (shapes[1], "lora") else None
        peak.take_step(name, method, tmp_path / "steps" / f"{name}_{method}.json", free)
    return sorted((tmp_path / "steps").iterdir())


def test_a_point_tells_peak_and_prediction_or_why_it_was_not_run(points):
    rows = {(row["shape"], row["method"]): row for row in map(storage.read_json, points)}
    skipped = rows.pop(("minigpt,n_layer=6", "lora"))
    assert skipped["measured_bytes"] is None
    assert skipped["skipped"].endswith("1 KB free") and skipped["skipped"].startswith("needs ")
    for row in rows.values():
        assert row["skipped"] is None
        assert row["measured_bytes"] >= row["baseline_bytes"] > 0
        for bucket in BUCKETS:
            assert row[f"{bucket}_bytes_measured"] == row[f"{bucket}_bytes_predicted"]


def test_more_transient_memory_is_predicted_for_an_unpacked_linear():
    lora, qlora = (peak.transient_bytes(shape(), m, 1, 1) for m in ("lora", "qlora"))
    assert lora == 3 * 4 * 50
    assert qlora > 4 * 32 * 48


def test_the_page_shows_every_point_and_is_drawn_twice_to_the_same_bytes(points, tmp_path):
    pages = []
    for name in ("one", "two"):
        scaling_figure.report(points, tmp_path / name, tmp_path / name / "docs")
        pages.append({p.name: p.read_bytes() for p in (tmp_path / name / "docs").iterdir()})
    assert pages[0] == pages[1]
    assert pages[0].keys() == {f"memory_scaling.{kind}" for kind in ("md", "png", "svg")}
    text = pages[0]["memory_scaling.md"].decode()
    assert text.count("| minigpt") == 4 and "not run: needs" in text
    assert "equal to the byte" in text
    table = pd.read_parquet(tmp_path / "one" / "memory_scaling.parquet")
    assert list(table["parameters"]) == sorted(table["parameters"])


def test_a_difference_between_tensors_and_formula_is_not_hidden(points, tmp_path):
    row = storage.read_json(points[-1])
    row["weights_bytes_measured"] += 1
    storage.write_json(points[-1], row)
    scaling_figure.report(points, tmp_path, tmp_path)
    assert "DIFFER" in (tmp_path / "memory_scaling.md").read_text()
