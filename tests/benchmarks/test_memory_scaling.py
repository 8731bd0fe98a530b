"""A step at any shape holds what the formula says, and never a float copy of a quantized model."""

import itertools
import weakref

import pytest
import torch

from benchmarks.memory_scaling import peak
from benchmarks.memory_scaling.decoder import Decoder
from minituner import compute
from minituner.budget import formula, measure
from minituner.budget.formula import BUCKETS, Regime
from minituner.budget.shapes import Shape
from minituner.checkpoints.bitsandbytes import tensors_of

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
        held = measure.step_bytes(Decoder(small, regime), ids, ids.clone())
        row = formula.count(small, regime, 2 * 12)
        assert held == {bucket: row[f"{bucket}_bytes"] for bucket in BUCKETS}, targets


def test_a_step_changes_the_adapter_only():
    small = shape()
    model = Decoder(small, peak.regime_of(small, "qlora"))
    before = {name: tensor.clone() for name, tensor in tensors_of(model).items()}
    measure.step_bytes(model, *peak.batch(small))
    after = tensors_of(model)
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    assert moved and all("lora_" in name for name in moved)


def test_while_building_one_float_weight_at_most_is_alive(monkeypatch):
    drawn, alive = [], []
    quantize = compute.quantize

    def watched(weight, *options):
        alive.append(sum(reference() is not None for reference in drawn))
        drawn.append(weakref.ref(weight))
        return quantize(weight, *options)

    monkeypatch.setattr(compute, "quantize", watched)
    Decoder(shape(), peak.regime_of(shape(), "qlora"))
    assert len(alive) == 2 * 7
    assert max(alive) == 0


def test_more_transient_memory_is_predicted_for_an_unpacked_linear():
    lora, qlora = (peak.transient_bytes(shape(), m, 1, 1) for m in ("lora", "qlora"))
    assert lora == 3 * 4 * 50
    assert qlora > 4 * 32 * 48
