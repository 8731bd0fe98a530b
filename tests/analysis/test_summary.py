"""Intervals cover what they should, differences are paired, and runs are never mixed up."""

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
    assert single["low"] == single["high"] == 1.0
    assert group["low"] < 0.55 and group["high"] == 1.0
    assert (single["seeds"], group["seeds"]) == (0, 2)


def test_a_paired_difference_of_equal_runs_is_exactly_zero(summary):
    gain = lookup(summary, "base", "accuracy_gain")
    assert gain["low"] == gain["value"] == gain["high"] == 0


def test_runs_on_other_sentences_are_not_compared(tmp_path):
    paths = write_runs(tmp_path, base=scored([True] * 4), lora_r1_s0=scored([True] * 3))
    with pytest.raises(UserError, match="lora_r1_s0: scored other sentences than base"):
        read_runs(paths)


def test_a_missing_base_is_named(tmp_path):
    with pytest.raises(UserError, match="no run called base"):
        read_runs(write_runs(tmp_path, lora_r1_s0=scored([True])))
