"""Intervals cover what they should, differences are paired, and runs are never mixed up."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from minituner.analysis import summary as summarize
from minituner.foundation import storage
from minituner.foundation.errors import UserError

SETTINGS = {"bootstrap": 400, "confidence": 0.95, "seed": 0}


def table(chosen, frames=None, nats=30.0):
    """An evaluation: irregular test and validation rows, and control ones of `nats` a sentence."""
    rows = []
    for split in ("val", "test"):
        for i, hit in enumerate(chosen):
            frame = frames[i] if frames else f"f{i}"
            for kind, tense in (("irregular", "past_simple"), ("control", "past_simple")):
                rows.append(
                    {
                        "id": f"{split}-{kind}-{i}",
                        "set": kind,
                        "split": split,
                        "probe": False,
                        "frame": f"{split}-{frame}",
                        "verb_lemma": "go" if kind == "irregular" else "walk",
                        "tense": tense,
                        "chosen": bool(hit),
                        "exact": bool(hit),
                        "margin": 1.0 if hit else -1.0,
                        "form_nats": 2.0,
                        "form_symbols": 5,
                        "sentence_nats": nats,
                        "sentence_symbols": 30,
                    }
                )
    return rows


def write_runs(folder, **runs):
    for name, rows in runs.items():
        storage.write_table(folder / f"{name}.parquet", pa.Table.from_pylist(rows))
    return sorted(folder.glob("*.parquet"))


@pytest.fixture
def summary(tmp_path):
    hits = [True, False] * 20
    paths = write_runs(
        tmp_path,
        base=table([False] * 40),
        lora_r1_s0=table(hits, nats=31.0),
        lora_r1_s1=table([True] * 40, nats=33.0),
    )
    summarize.summarize({"evaluate": SETTINGS}, paths, tmp_path / "out")
    return pd.read_parquet(tmp_path / "out" / "summary.parquet")


def test_point_estimates_are_the_plain_means(summary):
    assert summarize.lookup(summary, "lora_r1_s0", "accuracy")["value"] == 0.5
    assert summarize.lookup(summary, "lora_r1", "accuracy")["value"] == 0.75
    assert summarize.lookup(summary, "lora_r1", "accuracy_gain")["value"] == 0.75
    perplexity = summarize.lookup(summary, "base", "perplexity")["value"]
    assert perplexity == pytest.approx(np.e)
    drift = summarize.lookup(summary, "lora_r1_s0", "perplexity_drift")["value"]
    assert drift == pytest.approx(np.exp(1 / 30) - 1)


def test_a_groups_interval_holds_the_seeds_too(summary):
    own = summarize.lookup(summary, "lora_r1_s1", "accuracy")
    group = summarize.lookup(summary, "lora_r1", "accuracy")
    assert own["low"] == own["high"] == 1.0
    assert group["low"] < 0.55 and group["high"] == 1.0
    assert (own["seeds"], group["seeds"]) == (0, 2)


def test_a_paired_difference_of_equal_runs_is_exactly_zero(summary):
    gain = summarize.lookup(summary, "base", "accuracy_gain")
    assert gain["low"] == gain["value"] == gain["high"] == 0


def test_the_interval_of_a_mean_has_the_width_that_theory_gives(tmp_path):
    paths = write_runs(tmp_path, base=table([True, False] * 100))
    runs = summarize.read_runs(paths)
    values = summarize.resampled(runs, "accuracy", "test", {**SETTINGS, "bootstrap": 4000})["base"]
    assert np.std(values[1:]) == pytest.approx(0.5 / np.sqrt(200), rel=0.06)


def test_sentences_of_one_frame_are_resampled_together(tmp_path):
    hits = [True, True, False, False] * 25
    alone = table(hits)
    clustered = table(hits, frames=[f"c{i // 2}" for i in range(100)])
    widths = []
    for rows in (alone, clustered):
        runs = summarize.read_runs(write_runs(tmp_path, base=rows))
        widths.append(np.std(summarize.resampled(runs, "accuracy", "test", SETTINGS)["base"][1:]))
    assert widths[1] == pytest.approx(widths[0] * np.sqrt(2), rel=0.15)


def test_runs_on_other_sentences_are_not_compared(tmp_path):
    paths = write_runs(tmp_path, base=table([True] * 4), lora_r1_s0=table([True] * 3))
    with pytest.raises(UserError, match="lora_r1_s0: scored other sentences than base"):
        summarize.read_runs(paths)


def test_a_missing_base_is_named(tmp_path):
    with pytest.raises(UserError, match="no run called base"):
        summarize.read_runs(write_runs(tmp_path, lora_r1_s0=table([True])))


@pytest.mark.parametrize(
    ("name", "group", "method", "rank", "seed"),
    [
        ("base", "base", "base", None, None),
        ("full_s3", "full", "full", None, 3),
        ("qlora_r16_s0", "qlora_r16", "qlora", 16, 0),
    ],
)
def test_run_names_are_read(name, group, method, rank, seed):
    expected = {"group": group, "method": method, "rank": rank, "seed": seed}
    assert summarize.parse_run(name) == expected


def test_a_strange_run_name_is_refused():
    with pytest.raises(UserError, match="not a run's name"):
        summarize.parse_run("lora_r1_s0_old")
