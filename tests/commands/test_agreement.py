"""Logits on an equal base agree to the bit, those on a quantized one within bounds."""

import pytest

from minituner.commands.agreement import pairs
from minituner.foundation import parquet
from tests.support.command import call
from tests.support.runs import LORA, NF4

TUNING = {"steps": 3, "batch_size": 4, "learning_rate": 1e-2, "warmup": 1, "eval_every": 3}


@pytest.fixture
def runs(base, irregular, tmp_path):
    """LoRA with two seeds, and QLoRA with one, on the NF4 base `nf4`."""
    settings = {"lora": LORA, "tuning": TUNING}
    call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "nf4")
    made = [("lora", 0, base), ("lora", 1, base), ("qlora", 0, tmp_path / "nf4")]
    for method, seed, below in made:
        out = tmp_path / f"{method}_r2_s{seed}"
        options = {"base": below, "irregular": irregular, "rank": 2, "seed": seed, "out": out}
        call("train", given=settings, method=method, **options)
    return tmp_path


def compared(runs, base, irregular, control, nf4):
    out = runs / "agreement.parquet"
    adapters = [runs / "lora_r2_s0", runs / "lora_r2_s1"]
    options = {"base": base, "irregular": irregular, "control": control, "out": out}
    call("agreement", nf4=nf4, adapters=adapters, trained=[runs / "qlora_r2_s0"], **options)
    return parquet.read_table(out).to_pylist()


def test_agreement_is_zero_on_an_equal_base_and_positive_on_a_quantized_one(
    base, irregular, control, runs
):
    packed = compared(runs, base, irregular, control, runs / "nf4")
    assert [(row["kind"], row["adapter"], row["other"]) for row in packed] == [
        ("quantized", None, None),
        ("quantized", "lora_r2_s0", "lora_r2_s0"),
        ("quantized", "lora_r2_s1", "lora_r2_s1"),
        ("trained", "lora_r2_s0", "qlora_r2_s0"),
        ("seeds", "lora_r2_s0", "lora_r2_s1"),
    ]
    for row in packed:
        assert 0 < row["kl"] and 1e-6 < row["mean_abs"] <= row["max_abs"] <= 1


def test_an_adapter_on_two_equal_bases_does_not_differ(base, irregular, control, runs):
    out = runs / "agreement.parquet"
    options = {"irregular": irregular, "control": control, "adapters": [runs / "lora_r2_s0"]}
    call("agreement", base=base, nf4=base, trained=[], out=out, **options)
    for row in parquet.read_table(out).to_pylist():
        assert {row[name] for name in ("mean_abs", "max_abs", "relative", "kl")} == {0.0}


def test_of_three_seeds_each_is_the_yardstick_twice_and_of_two_there_is_one_pair(tmp_path):
    for seeds, expected in ((1, 0), (2, 1), (3, 3), (5, 5)):
        runs = [tmp_path / f"lora_r1_s{seed}" for seed in range(seeds)]
        between = [{one.name, two.name} for kind, one, two in pairs(runs, []) if kind == "seeds"]
        assert len(between) == expected
        assert all(len(both) == 2 for both in between)
