"""The texts that pages quote, from small made tables."""

import pandas as pd

from minituner.reporting import values

SUMMARY = pd.DataFrame(
    [
        {"unit": unit, "seeds": seeds, "split": split, "metric": metric,
         "value": value, "low": value - 0.01, "high": value + 0.02}
        for unit, seeds in (("base", 1), ("lora_r1", 2), ("lora_r1_s0", 0), ("lora_r1_s1", 0))
        for split in ("val", "test")
        for metric, value in (("accuracy", 0.5), ("perplexity_drift", 0.0125))
    ]
)  # fmt: skip


def regime(method, rank, name, **columns):
    row = {"method": method, "rank": rank, "regime": name}
    for bucket in values.COUNTED:
        row |= {f"{bucket}_bytes_{kind}": 1000 for kind in ("measured", "predicted")}
    return row | {"linears_bytes_measured": 800} | columns


def test_units_over_seeds_and_the_judged_adapter_are_quoted_and_no_other_run():
    texts = values.of_summary(SUMMARY, "lora_r1_s1")
    assert {name.rpartition(".")[0] for name in texts} == {
        "test.base", "test.lora_r1", "judged", "judged_rank",
    }  # fmt: skip
    assert texts["test.lora_r1.perplexity_drift"] == "+1.25 % [+0.25, +3.25]"


def test_a_regime_on_all_linears_is_not_taken_for_the_configured_one():
    rows = [("full", float("nan"), "full fine-tuning"), ("lora", 8.0, "LoRA r=8, q_proj, v_proj")]
    rows += [("lora", 8.0, "LoRA r=8, all Linears")]
    keys = [values.regime_key(regime(*row)) for row in rows]
    assert keys == ["full", "lora_r8", "lora_r8_all"]


def test_the_memory_table_says_what_was_measured_and_how_far_the_formula_is_off():
    memory = pd.DataFrame(
        [
            regime("lora", 1, "LoRA r=1, q_proj", gradients_bytes_predicted=990),
            regime("qlora", 1, "QLoRA r=1, q_proj", weights_bytes_measured=997),
        ]
    ).assign(rank=1.0)
    texts = values.of_memory(memory, 1)
    assert texts["memory.largest_difference"] == "10"
    assert texts["memory.weights_saving"] == "1.00" and texts["memory.qlora_r1.weights"] == "997"
    assert "| LoRA r=1, q_proj | 1,000 |" in texts["table.memory"]
    assert "memory.weights_saving" not in values.of_memory(memory, 4)


def test_a_cell_left_out_of_tuning_is_a_dash_in_the_table_of_verbs():
    rows = [
        ("base", "irregular", "go", "past_simple", 0.25),
        ("base", "cell", "see", "past_simple", 0.5),
        ("base", "irregular", "see", "past_participle", 1.0),
        ("base", "control", "walk", "past_simple", 1.0),
    ]
    columns = ["group", "set", "verb_lemma", "tense", "accuracy"]
    table = values.verbs_table(pd.DataFrame(rows, columns=columns), ["base"])
    assert table.splitlines()[2:] == ["| go | 25 % | – |", "| see | – | 100 % |"]
