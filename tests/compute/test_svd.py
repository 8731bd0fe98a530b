"""The singular value decomposition: LAPACK's values, and zeros where a direction is missing."""

import numpy as np
import pytest

from minituner.compute import svd


@pytest.mark.parametrize("rank", [1, 2, 3, 8, 16])
def test_the_decomposition_is_the_one_that_lapack_finds(rank):
    draw = np.random.default_rng(rank)
    b, a = draw.normal(size=(24, rank)), draw.normal(size=(rank, 40))
    left, values, right = svd.decompose(b, a)
    assert np.allclose(values, np.linalg.svd(b @ a, compute_uv=False)[:rank], rtol=1e-12)
    assert np.allclose(left @ right, b @ a, rtol=0, atol=1e-12)
    assert np.allclose(right @ right.T, np.eye(rank), atol=1e-12)
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("zero", ["a row of A", "a column of B", "equal rows of A"])
def test_directions_that_are_missing_have_singular_value_zero(zero):
    draw = np.random.default_rng(0)
    b, a = draw.normal(size=(8, 4)), draw.normal(size=(4, 8))
    if zero == "a row of A":
        a[1] = 0
    elif zero == "a column of B":
        b[:, 2] = 0
    else:
        a[3] = a[0]
    left, values, right = svd.decompose(b, a)
    assert values[3] < 1e-12 < values[2]
    assert np.allclose(left @ right, b @ a, atol=1e-12)
