"""What is predicted is what a real training step holds, to the byte, in all four buckets."""

import pytest
import torch

from minituner import compute
from minituner.budget import formula, measure, shapes
from minituner.budget.formula import ALL_LINEARS, Regime
from minituner.compute.sequences import needed
from minituner.model import IGNORE

B, T = 3, 10
REGIMES = [
    Regime("full"),
    *(
        Regime(method, rank, targets)
        for method in ("lora", "qlora")
        for rank in (1, 4)
        for targets in (("q_proj", "v_proj"), ALL_LINEARS, ("o_proj",), ("fc1",), ("k_proj", "fc2"))
    ),
    Regime("qlora", 2, ("q_proj",), 64, True),
]


def batch(config):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, config.vocab_size, (B, T), generator=generator)
    return ids, ids.roll(-1, 1)


def step_bytes(config, regime, ids, targets):
    return measure.step_bytes(compute.accelerate(measure.build(config, regime)), ids, targets)


@pytest.mark.parametrize("regime", REGIMES, ids=lambda r: f"{r.method}-{r.rank}-{r.targets}")
def test_the_formula_is_the_measurement(config, regime):
    predicted = formula.count(shapes.of(config), regime, B * T)
    measured = step_bytes(config, regime, *batch(config))
    assert measured == {bucket: predicted[f"{bucket}_bytes"] for bucket in formula.BUCKETS}


@pytest.mark.parametrize("regime", REGIMES, ids=lambda r: f"{r.method}-{r.rank}-{r.targets}")
def test_the_formula_holds_where_the_loss_looks_at_some_symbols_only(config, regime):
    ids = batch(config)[0].repeat(3, 1)[:8]
    targets = ids.roll(-1, 1)
    targets[:, :4] = targets[1, 7:] = IGNORE
    sequences, looked, wanted = needed(ids, targets)
    # 77 symbols of which 45 count, each filled up to a multiple of 8.
    assert (len(sequences.ids), len(looked), len(wanted)) == (80, 48, 48)
    predicted = formula.count(shapes.of(config), regime, 80, looked=48)
    measured = step_bytes(config, regime, ids, targets)
    assert measured == {bucket: predicted[f"{bucket}_bytes"] for bucket in formula.BUCKETS}
    dense = formula.count(shapes.of(config), regime, 80)
    assert predicted["activations_bytes"] < dense["activations_bytes"]


def test_lora_holds_less_of_everything_but_weights(config):
    full, lora = (
        step_bytes(config, regime, *batch(config))
        for regime in (Regime("full"), Regime("lora", 2, ("q_proj", "v_proj")))
    )
    assert lora["weights"] > full["weights"]
    assert all(lora[bucket] < full[bucket] for bucket in ("gradients", "optimizer", "activations"))


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ALL_LINEARS, ("fc1",)])
def test_each_row_is_what_the_instantiated_model_holds(config, method, targets):
    regime = Regime(method, 3, targets)
    row = formula.count(shapes.of(config), regime, 2 * 8)
    measure.verified(config, regime, row)
    row["weights_bytes"] += 1
    with pytest.raises(AssertionError, match="the model holds"):
        measure.verified(config, regime, row)
