"""Intervals cover what they should, differences are paired, and runs are never mixed up."""

import csv

import numpy as np
import pytest

from minituner.analysis.summary import lookup, read_runs
from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from tests.analysis.made import BOOTSTRAP, scored, write_runs
from tests.support.command import call


@pytest.fixture
def summary(tmp_path):
    hits = [True, False] * 20
    paths = write_runs(
        tmp_path,
        base=scored([False] * 40),
        lora_r1_s0=scored(hits, nats=31.0),
        lora_r1_s1=scored([True] * 40, nats=33.0),
    )
    call("summarize", given={"evaluate": BOOTSTRAP}, runs=paths, out=tmp_path / "out")
    return parquet.read_frame(tmp_path / "out" / "summary.parquet")


def test_point_estimates_are_the_plain_means(summary):
    assert lookup(summary, "lora_r1_s0", "accuracy")["value"] == 0.5
    assert lookup(summary, "lora_r1", "accuracy")["value"] == 0.75
    assert lookup(summary, "lora_r1", "accuracy_gain")["value"] == 0.75
    perplexity = lookup(summary, "base", "perplexity")["value"]
    assert perplexity == pytest.approx(np.e)
    drift = lookup(summary, "lora_r1_s0", "perplexity_drift")["value"]
    assert drift == pytest.approx(np.exp(1 / 30) - 1)


def test_a_groups_interval_holds_the_seeds_too(summary):
    single = lookup(summary, "lora_r1_s1", "accuracy")
    group = lookup(summary, "lora_r1", "accuracy")
    assert 0.85 < single["low"] < single["high"] == 1.0
    assert group["low"] < 0.6 and group["high"] > 0.85
    assert (single["seeds"], group["seeds"]) == (0, 2)


def test_the_table_for_people_has_the_interval_beside_each_value(summary, tmp_path):
    with open(tmp_path / "out" / "summary.csv", encoding="utf-8") as file:
        rows = {row["unit"]: row for row in csv.DictReader(file)}
    group = lookup(summary, "lora_r1", "accuracy")
    for column, end in (("accuracy", "value"), ("accuracy_low", "low"), ("accuracy_high", "high")):
        assert float(rows["lora_r1"][column]) == group[end]


def test_the_table_by_verb_has_irregular_and_regular_pasts(summary, tmp_path):
    table = parquet.read_frame(tmp_path / "out" / "per_verb.parquet").set_index(["group", "set"])
    assert table.loc[("lora_r1", "irregular"), "accuracy"] == 0.75, "both seeds together"
    assert table.loc[("lora_r1", "control"), "sentences"] == 2 * 40
    assert set(table["verb_lemma"]) == {"go", "walk"}


def test_each_metric_that_a_page_compares_within_a_seed_is_compared(tmp_path):
    names = ("base", "lora_r1_s0", "lora_r2_s0", "qlora_r1_s0")
    paths = write_runs(tmp_path, **{name: scored([True, False] * 20) for name in names})
    call("summarize", given={"evaluate": BOOTSTRAP}, runs=paths, out=tmp_path / "out")
    summary = parquet.read_frame(tmp_path / "out" / "summary.parquet")
    compared = {"accuracy", "margin", "form_logp", "perplexity_drift", "control_accuracy"}
    for over in ("_over_lowest", "_over_lora"):
        found = {m.removesuffix(over) for m in summary["metric"] if m.endswith(over)}
        assert found == compared, over


def test_a_paired_difference_of_equal_runs_is_exactly_zero(summary):
    gain = lookup(summary, "base", "accuracy_gain")
    assert gain["low"] == gain["value"] == gain["high"] == 0


def test_ranks_are_compared_within_a_seed_and_resample(tmp_path):
    """Rank 2 is right once more with each seed, though the seeds differ by far more than that."""
    hits = {0: [True] * 10 + [False] * 30, 1: [True] * 30 + [False] * 10}
    runs = {f"lora_r1_s{seed}": scored(chosen) for seed, chosen in hits.items()}
    for seed, chosen in hits.items():
        runs[f"lora_r2_s{seed}"] = scored([True] * (sum(chosen) + 1) + [False] * (39 - sum(chosen)))
    paths = write_runs(tmp_path, base=scored([False] * 40), **runs)
    call("summarize", given={"evaluate": BOOTSTRAP}, runs=paths, out=tmp_path / "out")
    table = parquet.read_frame(tmp_path / "out" / "summary.parquet")
    gain = lookup(table, "lora_r2", "accuracy_over_lowest")
    assert gain["value"] == pytest.approx(1 / 40)
    assert 0 <= gain["low"] and gain["high"] <= 4 / 40
    with pytest.raises(UserError, match="no accuracy_over_lowest of lora_r1"):
        lookup(table, "lora_r1", "accuracy_over_lowest")


def test_a_qlora_run_is_compared_with_the_lora_run_of_its_rank_and_seed(tmp_path):
    right = {"lora_r1_s0": 10, "lora_r1_s1": 30, "qlora_r1_s0": 8, "qlora_r1_s1": 28}
    runs = {name: scored([True] * n + [False] * (40 - n)) for name, n in right.items()}
    paths = write_runs(tmp_path, base=scored([False] * 40), **runs)
    call("summarize", given={"evaluate": BOOTSTRAP}, runs=paths, out=tmp_path / "out")
    table = parquet.read_frame(tmp_path / "out" / "summary.parquet")
    assert lookup(table, "qlora_r1", "accuracy_over_lora")["value"] == pytest.approx(-2 / 40)
    assert not (table["unit"].eq("lora_r1") & table["metric"].eq("accuracy_over_lora")).any()


def test_full_fine_tuning_is_compared_with_the_lowest_rank_of_its_seed(tmp_path):
    right = {"lora_r1_s0": 10, "lora_r1_s1": 30, "lora_r2_s0": 9, "full_s0": 12, "full_s1": 32}
    runs = {name: scored([True] * n + [False] * (40 - n)) for name, n in right.items()}
    paths = write_runs(tmp_path, base=scored([False] * 40), **runs)
    call("summarize", given={"evaluate": BOOTSTRAP}, runs=paths, out=tmp_path / "out")
    table = parquet.read_frame(tmp_path / "out" / "summary.parquet")
    assert lookup(table, "full", "accuracy_over_lowest")["value"] == pytest.approx(2 / 40)


def test_a_familys_p_values_are_corrected_and_only_differences_have_one(tmp_path):
    """Four comparisons of one metric: the smallest p is multiplied by four."""
    hits = {1: 10, 2: 20, 4: 11, 8: 10, 16: 10}
    runs = {f"lora_r{r}_s0": scored([True] * n + [False] * (40 - n)) for r, n in hits.items()}
    paths = write_runs(tmp_path, base=scored([False] * 40), **runs)
    call("summarize", given={"evaluate": BOOTSTRAP}, runs=paths, out=tmp_path / "out")
    table = parquet.read_frame(tmp_path / "out" / "summary.parquet")
    over = table[table["metric"].eq("accuracy_over_lowest") & table["seeds"].gt(0)]
    p = over[over["split"].eq("test")].set_index("rank")["p"]
    assert p[2] == pytest.approx(4 * 2 / 401) and p[4] > 0.05 and p[8] == p[16] == 1
    assert table.loc[~table["metric"].str.contains("_over_"), "p"].isna().all()


def test_runs_on_other_sentences_are_not_compared(tmp_path):
    paths = write_runs(tmp_path, base=scored([True] * 4), lora_r1_s0=scored([True] * 3))
    with pytest.raises(UserError, match="lora_r1_s0: scored other sentences than base"):
        read_runs(paths)


def test_a_missing_base_is_named(tmp_path):
    with pytest.raises(UserError, match="no run called base"):
        read_runs(write_runs(tmp_path, lora_r1_s0=scored([True])))
