"""Intervals are as wide as theory says, and hold what could have been different."""

import numpy as np
import pytest

from minituner.analysis.bootstrap import ends, over_seeds, resampled
from minituner.analysis.summary import read_runs
from tests.analysis.made import BOOTSTRAP, scored, write_runs


def test_the_interval_of_a_mean_has_the_width_that_theory_gives(tmp_path):
    runs = read_runs(write_runs(tmp_path, base=scored([True, False] * 100)))
    values = resampled(runs, "accuracy", "test", {**BOOTSTRAP, "bootstrap": 4000})["base"]
    assert np.std(values[1:]) == pytest.approx(0.5 / np.sqrt(200), rel=0.06)


def test_sentences_of_one_pair_are_resampled_together(tmp_path):
    hits = [True, True, False, False] * 25
    alone = scored(hits)
    clustered = scored(hits, pairs=[f"c{i // 2}" for i in range(100)])
    widths = []
    for rows in (alone, clustered):
        runs = read_runs(write_runs(tmp_path, base=rows))
        widths.append(np.std(resampled(runs, "accuracy", "test", BOOTSTRAP)["base"][1:]))
    assert widths[1] == pytest.approx(widths[0] * np.sqrt(2), rel=0.15)


def test_a_mean_over_seeds_is_the_plain_one_first():
    assert over_seeds([np.full(200, 1.0), np.full(200, 3.0)], "lora_r1", BOOTSTRAP)[0] == 2
    alone = np.arange(200.0)
    assert (over_seeds([alone], "lora_r1", BOOTSTRAP) == alone).all()


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_over_a_few_seeds_covers_what_it_says(seeds):
    """Seeds of one normal distribution; 95 % of the intervals hold its mean."""
    drawn = np.random.default_rng(0).normal(2.0, 0.3, size=(1000, seeds))
    covered = 0
    for i, values in enumerate(drawn):
        means = over_seeds([np.full(401, value) for value in values], f"lora_r{i}", BOOTSTRAP)
        low, high = ends(means[1:], BOOTSTRAP)
        covered += low <= 2.0 <= high
    assert 0.93 < covered / 1000 < 0.97


@pytest.mark.parametrize(
    ("confidence", "low", "high"), [(0.95, 2.5, 97.5), (0.9, 5, 95), (0.5, 25, 75)]
)
def test_the_ends_of_an_interval_are_the_percentiles_that_leave_equal_tails(confidence, low, high):
    resamples = np.random.default_rng(0).permutation(np.arange(101.0))
    assert ends(resamples, {"confidence": confidence}) == pytest.approx((low, high))
