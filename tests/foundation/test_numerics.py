"""The exponential and weighted sums are numpy's within rounding, in a stated order."""

import numpy as np
import pytest

from minituner.foundation.numerics import exponential, weighted_sums


def test_the_exponential_is_within_three_units_of_the_last_place():
    x = np.concatenate([np.linspace(-700, 700, 100_001), np.linspace(-1, 1, 100_001)])
    assert np.abs(exponential(x) / np.exp(x) - 1).max() <= 3 * np.finfo(float).eps
    assert exponential(0.0) == 1.0


@pytest.mark.parametrize(
    ("x", "value"), [(1000.0, np.inf), (np.inf, np.inf), (-1000.0, 0.0), (-np.inf, 0.0)]
)
def test_the_exponential_has_its_limits(x, value):
    assert exponential(x) == value


def test_what_is_no_number_stays_none():
    assert np.isnan(exponential(np.array([np.nan, 1.0]))[0])


def test_weighted_sums_are_taken_in_order():
    draw = np.random.default_rng(0)
    weights, values = draw.integers(0, 4, (5, 300)), draw.normal(size=(2, 300))
    expected = np.zeros((2, 5))
    for n in range(300):
        expected += values[:, n, None] * weights[None, :, n]
    assert np.array_equal(weighted_sums(weights, values), expected)
    assert np.allclose(expected, values @ weights.T)
