"""The gate fails for each criterion alone, and the adapter is chosen without a look at the test."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from minituner.foundation import parquet, storage
from minituner.foundation.errors import UserError
from minituner.reporting import style
from tests.support.command import call

BARS = {"accuracy_gain": 0.1, "perplexity_drift": 0.05, "adapter_ratio": 0.01, "agreement": 1.25}
SETTINGS = {"definition_of_done": BARS, "sweep": {"ranks": [1, 2], "seeds": [0, 1]}}


def row(unit, metric, split, value, spread=0.01):
    seeds = 0 if "_s" in unit else 2
    fields = {"unit": unit, "metric": metric, "split": split, "seeds": seeds}
    return fields | {"value": value, "low": value - spread, "high": value + spread}


def summary_rows(gain=0.5, drift=0.02):
    """Rank 1, seed 1 has the largest margin on validation; on test everything is equal."""
    rows = []
    for rank in (1, 2):
        for unit in (f"lora_r{rank}_s0", f"lora_r{rank}_s1", f"lora_r{rank}", f"qlora_r{rank}"):
            for split in ("val", "test"):
                rows.append(row(unit, "accuracy_gain", split, gain))
                rows.append(row(unit, "perplexity_drift", split, drift))
                best = split == "val" and unit.endswith("s1")
                rows.append(row(unit, "margin", split, 5.0 + best + rank))
                rows.append(row(unit, "accuracy", split, 0.9))
    rows += [row(unit, "control_accuracy", "test", 0.9) for unit in ("base", "lora_r1", "lora_r2")]
    return pd.DataFrame(rows)


@pytest.fixture
def results(tmp_path):
    """A results folder that meets every criterion with rank 1."""
    write_summary(tmp_path, summary_rows())
    write_agreement(tmp_path, {None: 0.1, "lora_r1_s0": 0.11, "lora_r1_s1": 0.11})
    memory = {"method": ["lora", "qlora"], "rank": [1, 1], "weights_bytes_measured": [800, 200]}
    memory["total_bytes_measured"] = [1000, 900]
    parquet.write_table(tmp_path / "memory" / "memory.parquet", memory)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"x" * 100_000)
    for rank, size in ((1, 900), (2, 1100)):
        for seed in (0, 1):
            folder = tmp_path / "train" / f"lora_r{rank}_s{seed}"
            folder.mkdir(parents=True)
            (folder / "adapter_model.safetensors").write_bytes(b"x" * size)
    draw(tmp_path)
    return tmp_path


def write_summary(folder, table):
    parquet.write_frame(folder / "evaluate" / "summary.parquet", table)


def write_agreement(folder, moved):
    """How far quantizing moves the logits, with each adapter; and trained runs beside them."""
    rows = [
        {"kind": "quantized", "adapter": a, "other": a, "mean_abs": x} for a, x in moved.items()
    ]
    for kind, other, apart in (("trained", "qlora_r1_s0", 0.3), ("seeds", "lora_r1_s1", 0.6)):
        rows.append({"kind": kind, "adapter": "lora_r1_s0", "other": other, "mean_abs": apart})
    rows = [row | {"kl": row["mean_abs"] / 100} for row in rows]
    parquet.write_rows(folder / "evaluate" / "agreement.parquet", rows)


def draw(folder):
    source = folder / "evaluate" / "summary.parquet"
    style.save(Figure(figsize=(1, 1)), folder / "ablation", source)


def judged(results):
    call("judge", given=SETTINGS, results=results, out=results)
    return storage.read_json(results / "definition_of_done.json")


def missed(results):
    return [c["criterion"][0] for c in judged(results)["criteria"] if not c["met"]]


def test_the_metrics_that_dvc_shows_are_the_judged_figures_at_their_pessimistic_ends(results):
    judged(results)
    metrics = storage.read_json(results / "metrics.json")
    assert metrics["criteria_met"] == 5
    assert metrics["accuracy_gain_low"] == pytest.approx(0.49)
    assert metrics["perplexity_drift_high"] == pytest.approx(0.03)
    assert metrics["adapter_ratio"] < 0.01 and metrics["agreement"] == pytest.approx(1.1)


def test_all_bars_met_opens_the_gate(results):
    assert missed(results) == []
    call("gate", judged=results / "definition_of_done.json", out=results / "gate.txt")
    assert "all 5 criteria met by lora_r1_s1" in (results / "gate.txt").read_text()


def test_the_choice_is_made_on_validation_among_small_adapters(results):
    # Rank 2 has the larger margin but too large a file.
    assert judged(results)["adapter"]["adapter"] == "lora_r1_s1"


@pytest.mark.parametrize(("criterion", "change"), [("1", {"gain": 0.105}), ("2", {"drift": 0.045})])
def test_the_pessimistic_end_counts_not_the_mean(results, criterion, change):
    write_summary(results, summary_rows(**change))
    draw(results)
    assert missed(results) == [criterion]


@pytest.mark.parametrize(
    ("metric", "end", "bar", "criterion"),
    [("accuracy_gain", "low", 0.1, "1"), ("perplexity_drift", "high", 0.05, "2")],
)
def test_a_bar_that_is_just_met_is_met_and_one_missed_by_a_hair_is_missed(
    results, metric, end, bar, criterion
):
    worse = -1 if end == "low" else 1
    for value, misses in ((bar, []), (bar + worse * 1e-9, [criterion])):
        table = summary_rows()
        table.loc[table["metric"].eq(metric) & table["split"].eq("test"), end] = value
        write_summary(results, table)
        draw(results)
        assert missed(results) == misses, value


@pytest.mark.parametrize(
    ("metric", "end", "bar"), [("accuracy_gain", "low", 0.1), ("perplexity_drift", "high", 0.05)]
)
def test_an_adapter_that_just_meets_a_bar_on_validation_may_be_chosen(results, metric, end, bar):
    worse = -1 if end == "low" else 1
    for value, eligible in ((bar, 2), (bar + worse * 1e-9, 0)):
        table = summary_rows()
        table.loc[table["metric"].eq(metric) & table["split"].eq("val"), end] = value
        write_summary(results, table)
        draw(results)
        assert judged(results)["adapter"]["eligible"] == eligible, value


@pytest.mark.parametrize(("moved", "misses"), [(0.125, []), (0.1250001, ["4"])])
def test_agreement_at_its_bar_is_met(results, moved, misses):
    write_agreement(results, {None: 0.1, "lora_r1_s0": 0.1, "lora_r1_s1": moved})
    assert missed(results) == misses


@pytest.mark.parametrize(("size", "misses"), [(999, []), (1000, ["5"])])
def test_below_one_per_cent_is_below_it(results, size, misses):
    for folder in (results / "train").glob("lora_r1_*"):
        (folder / "adapter_model.safetensors").write_bytes(b"x" * size)
    assert missed(results) == misses


def test_what_is_measured_beside_the_criteria_is_shown_and_judges_nothing(results):
    assert judged(results)["beside"] == [
        {
            "what": "regular verbs' pasts right",
            **dict.fromkeys(("base", "tuned"), "90.0 % [89.0, 91.0]"),
        }
    ]
    assert "| regular verbs' pasts right |" in (results / "definition_of_done.md").read_text()


def test_the_trained_qlora_run_stands_beside_two_lora_seeds(results):
    table = summary_rows()
    over = [row("qlora_r1", "margin_over_lora", "test", 0.25)]
    runs = [row(f"lora_r1_s{seed}", "margin", "test", 2.0 + seed) for seed in (0, 1)]
    table = table[~(table["metric"].eq("margin") & table["split"].eq("test"))]
    write_summary(results, pd.concat([table, pd.DataFrame(over + runs)]))
    draw(results)
    shown = {row["what"].split(",")[0]: row for row in judged(results)["trained"]}
    logits = shown["mean size of the difference of logits"]
    assert logits["trained"] == "0.300 (0.300 to 0.300)"
    assert logits["seeds"] == "0.600 (0.600 to 0.600)"
    margin = shown["log-odds margin"]
    assert margin["trained"].startswith("+0.25") and margin["seeds"] == "± 1.00"
    assert "two LoRA seeds" in (results / "definition_of_done.md").read_text()


def test_a_rank_that_fails_over_seeds_fails_even_if_the_chosen_seed_is_lucky(results):
    table = summary_rows()
    chosen = table["unit"].eq("lora_r1") & table["metric"].eq("accuracy_gain")
    table.loc[chosen & table["split"].eq("test"), "low"] = 0.05
    write_summary(results, table)
    draw(results)
    assert missed(results) == ["1"]


def test_a_missing_plot_and_one_of_another_run_fail(results):
    write_summary(results, summary_rows(gain=0.6))
    assert missed(results) == ["3"]
    (results / "ablation.png").write_bytes(b"no picture")
    assert missed(results) == ["3"]
    (results / "ablation.png").unlink()
    assert missed(results) == ["3"]


def test_disagreement_beyond_the_quantization_error_fails(results):
    write_agreement(results, {None: 0.1, "lora_r1_s0": 0.1, "lora_r1_s1": 0.126})
    assert missed(results) == ["4"]


def test_memory_says_against_what(results):
    measured = judged(results)["criteria"][3]["measured"]
    assert "weights 4.00 × smaller than in float32, 2.00 × than in 16 bits" in measured
    assert "a whole step 10.0 % smaller" in measured


def test_no_memory_saved_fails(results):
    memory = {"method": ["lora", "qlora"], "rank": [1, 1], "weights_bytes_measured": [800, 800]}
    memory["total_bytes_measured"] = [1000, 1000]
    parquet.write_table(results / "memory" / "memory.parquet", memory)
    assert missed(results) == ["4"]


def test_no_qlora_run_of_the_judged_adapter_fails(results):
    write_agreement(results, {None: 0.1, "lora_r1_s0": 0.1})
    assert missed(results) == ["4"]


def test_a_missed_bar_is_named_with_its_figure_and_leaves_no_gate_file(results):
    write_summary(results, summary_rows(drift=0.2))
    draw(results)
    judged(results)
    with pytest.raises(UserError, match=r"criterion 2 control perplexity drift: \+20\.00 %"):
        call("gate", judged=results / "definition_of_done.json", out=results / "gate.txt")
    assert not (results / "gate.txt").exists()
    assert "**NO**" in (results / "definition_of_done.md").read_text()
