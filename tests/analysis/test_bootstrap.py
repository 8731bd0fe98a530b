"""Intervals are as wide as theory says, and hold what could have been different."""

import numpy as np
import pytest

from minituner.analysis.bootstrap import (
    ends,
    holm,
    interval,
    over_seeds,
    p_value,
    resampled,
    wilson,
)
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


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_the_interval_of_a_share_covers_what_it_says_even_near_one(share):
    """Pairs are right or wrong as a whole; quantiles of 70 such hold 0.99 in half of the cases."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        right = generator.random(70) < share
        draws = generator.binomial(70, right.mean(), 400) / 70  # as redrawing pairs makes them
        low, high = wilson(np.array([right.mean(), *draws]), BOOTSTRAP, items=70)
        covered += low <= share <= high
    assert 0.92 < covered / 1000 < 0.99


def test_an_interval_where_all_is_right_is_not_a_point():
    low, high = wilson(np.ones(401), BOOTSTRAP, items=70)
    assert high == 1 and 0.9 < low < 0.96
    for share in (0.0, 1.0):
        for items in range(1, 200):
            low, high = wilson(np.full(401, share), BOOTSTRAP, items)
            assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize("share", [0.0, 0.01, 0.03, 0.5, 0.97, 0.99, 1.0])
def test_a_shares_interval_is_wilsons_near_its_ends_and_quantiles_elsewhere(share):
    scatter = 0.05 if 0 < share < 1 else 0.0  # where all is right, it is so in every resample
    draws = np.random.default_rng(0).normal(share, scatter, 400)
    drawn = np.array([share, *draws])
    low, high = interval(drawn, "accuracy", BOOTSTRAP, 400)
    assert 0 <= low <= share <= high <= 1, "though Student's t may move a resample beyond"
    near = share in (0.0, 0.01, 0.99, 1.0)
    assert ((low, high) == wilson(drawn, BOOTSTRAP, 400)) == near
    assert interval(drawn, "margin", BOOTSTRAP, 400) == ends(draws, BOOTSTRAP)


def test_holm_corrects_as_its_paper_does():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_a_p_value_counts_both_sides_and_is_never_zero():
    draws = np.r_[5.0, np.linspace(-1, 99, 101)]
    assert p_value(draws) == pytest.approx(2 * 3 / 102)  # −1 and 0 are on the other side
    assert p_value(-draws) == p_value(draws)
    assert p_value(np.r_[1.0, np.ones(399)]) == pytest.approx(2 / 400)
    assert p_value(np.zeros(400)) == 1.0
