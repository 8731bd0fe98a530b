"""Vectors that LLVM does not make by itself hold the numbers of plain loops, to the bit."""

import numba
import numpy as np
import pytest

from minituner.compute.kernels import lanes, norm
from minituner.compute.kernels.exponential import exponential
from minituner.compute.kernels.jit import VECTOR

KEYS, FIRST = 13, 8  # the first of the columns that are changed
QUERIES = FIRST + VECTOR


def draw(*shape):
    return 3 * np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def called(name, n, *arrays):
    """What a function of `lanes` leaves of copies of arrays."""
    function, copies = getattr(lanes, name), [array.copy() for array in arrays]

    @numba.njit(error_model="numpy")
    def run(*arrays):
        function(FIRST, n, *arrays)

    run(*copies)
    return copies


def test_the_highest_score_is_that_of_the_keys_up_to_the_query():
    scores, top = draw(KEYS, QUERIES), np.full(QUERIES, -np.inf, np.float32)
    unchanged, made = called("highest", KEYS, scores, top)
    assert (unchanged == scores).all() and (made[:FIRST] == top[:FIRST]).all()
    for i in range(FIRST, QUERIES):
        assert made[i] == scores[: i + 1, i].max()


def test_softening_is_the_plain_exponential_of_the_keys_up_to_the_query():
    scores, top, total = draw(KEYS, QUERIES), np.full(QUERIES, 9, np.float32), draw(QUERIES)
    scores[3, 12] = -1000  # below what the exponential goes down to
    made, _, totals = called("soften", KEYS, scores, top, total)
    assert (made[:, :FIRST] == scores[:, :FIRST]).all()
    for i in range(FIRST, QUERIES):
        expected = total[i]
        for j in range(KEYS):
            weight = exponential(scores[j, i] - top[i]) if j <= i else np.float32(0)
            assert made[j, i] == weight
            expected += weight
        assert totals[i] == expected


def test_weighing_divides_and_takes_the_mean_away():
    weights, by_weight = draw(KEYS, QUERIES), draw(KEYS, QUERIES)[::-1].copy()
    total, mean = draw(QUERIES), draw(QUERIES)[::-1].copy()
    share, by_score, *_ = called("weigh", KEYS, weights, by_weight, total, mean)
    assert (share[:, FIRST:] == (weights / total)[:, FIRST:]).all()
    assert (by_score[:, FIRST:] == (share * (by_weight - mean))[:, FIRST:]).all()


def test_a_code_is_looked_up_first_in_the_upper_half_of_its_byte():
    table, pairs = draw(16), np.arange(256, dtype=np.uint8)
    found, (upper, lower) = np.empty(512, np.float32), np.divmod(pairs, 16)
    lanes.look_up(table, pairs, found)
    assert (found[0::2] == table[upper]).all() and (found[1::2] == table[lower]).all()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 67])
def test_a_rows_sum_is_taken_in_eight_partial_sums(n):
    row = draw(n)
    sums = [np.float32(0)] * 8
    for i, value in enumerate(row):
        sums[i % 8] += value
    expected = sums[0]
    for partial in sums[1:]:
        expected += partial
    assert norm.total(row, np.zeros(8, np.float32)) == expected
