"""What is predicted is what a real training step holds, to the byte, in all four buckets."""

import pytest
import torch

from minituner import data, qlora
from minituner.budget import formula as counts
from minituner.budget import measure as memory
from minituner.budget import shapes
from minituner.budget.formula import ALL_LINEARS, Regime
from minituner.foundation import storage

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


@pytest.mark.parametrize("regime", REGIMES, ids=lambda r: f"{r.method}-{r.rank}-{r.targets}")
def test_the_formula_is_the_measurement(config, regime):
    predicted = counts.count(shapes.of(config), regime, B * T)
    measured = memory.measure(counts.build(config, regime), *batch(config))
    assert measured == {bucket: predicted[f"{bucket}_bytes"] for bucket in counts.BUCKETS}


@pytest.mark.parametrize("regime", REGIMES, ids=lambda r: f"{r.method}-{r.rank}-{r.targets}")
def test_the_formula_holds_where_the_loss_looks_at_some_symbols_only(config, regime):
    ids = batch(config)[0].repeat(3, 1)[:8]
    targets = ids.roll(-1, 1)
    targets[:, :4] = targets[1, 7:] = data.IGNORE
    sequences, looked, wanted = data.needed(ids, targets)
    # 77 symbols of which 45 count, each filled up to a multiple of 32.
    assert (len(sequences.ids), len(looked), len(wanted)) == (96, 64, 64)
    predicted = counts.count(shapes.of(config), regime, 96, looked=64)
    measured = memory.measure(counts.build(config, regime), ids, targets)
    assert measured == {bucket: predicted[f"{bucket}_bytes"] for bucket in counts.BUCKETS}
    dense = counts.count(shapes.of(config), regime, 96)
    assert predicted["activations_bytes"] < dense["activations_bytes"]


def test_lora_holds_less_of_everything_but_weights(config):
    full, lora = (
        memory.measure(counts.build(config, regime), *batch(config))
        for regime in (Regime("full"), Regime("lora", 2, ("q_proj", "v_proj")))
    )
    assert lora["weights"] > full["weights"]
    assert all(lora[bucket] < full[bucket] for bucket in ("gradients", "optimizer", "activations"))


def test_the_report_measures_every_method_on_the_same_batch(base, irregular, tmp_path):
    settings = {
        "lora": {"target_modules": ["q_proj", "v_proj"], "alpha": 4},
        "tuning": {"batch_size": 4},
        "sweep": {"ranks": [1, 2], "qlora_ranks": [2]},
    }
    nf4 = {"nf4": {"blocksize": 64, "double_quant": False}}
    qlora.quantize_checkpoint(nf4, base, tmp_path / "nf4")
    memory.report(settings, base, tmp_path / "nf4", irregular, tmp_path / "out")
    rows = storage.read_table(tmp_path / "out" / "memory.parquet").to_pylist()
    assert [row["method"] for row in rows] == ["full", "lora", "qlora"]
    for row in rows:
        for bucket in counts.BUCKETS:
            assert row[f"{bucket}_bytes_measured"] == row[f"{bucket}_bytes_predicted"] > 0
    full, lora, packed = rows
    assert full["linears_bytes_measured"] == lora["linears_bytes_measured"]
    # 32 bits against 4.5: half a byte a weight and 4 bytes of absmax for 64 of them.
    assert lora["linears_bytes_measured"] / packed["linears_bytes_measured"] == 32 / 4.5
    assert "7.11 × fewer bytes than float32" in (tmp_path / "out" / "memory.md").read_text()
