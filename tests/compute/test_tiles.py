"""The tiles' products are PyTorch's, for sides that are no multiple of a vector too."""

import numpy as np
import pytest
import torch

from minituner.compute.kernels import tiles

ONE = np.float32(1)
SIDES = [(1, 1, 1), (8, 8, 8), (63, 5, 9), (65, 16, 3), (130, 24, 17), (0, 3, 4)]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("n", "k", "c"), [*SIDES, (5, 100, 16), (9, 1, 33), (3, 70, 15)])
def test_a_product_is_torchs(n, k, c, biased, turned):
    left, right, row = randn(n, k), randn(k, c, seed=1), randn(c if biased else 0, seed=2)
    out = torch.full((n, c), torch.nan)
    laid = right.t().contiguous().t() if turned else right
    tiles.product(left.numpy(), laid.numpy(), row.numpy(), out.numpy())
    expected = left.double() @ right.double() + (row.double() if biased else 0)
    assert torch.allclose(out.double(), expected, atol=1e-5)


@pytest.mark.parametrize("c", [7, tiles.WIDE])  # by the narrow tile and the wide one
def test_a_product_is_summed_in_the_order_of_its_terms(c):
    left, right, row = randn(9, 300), randn(300, c, seed=1), randn(c, seed=2)
    out = np.empty((9, c), np.float32)
    tiles.product(left.numpy(), right.numpy(), row.numpy(), out)
    expected = np.float32(0)
    for x, y in zip(left.numpy()[8], right.numpy()[:, 5], strict=True):
        expected = np.float32(np.float64(x) * np.float64(y) + expected)  # fused
    assert out[8, 5] == expected + row.numpy()[5]


@pytest.mark.parametrize(("n", "i", "c"), SIDES)
def test_a_sum_over_rows_is_torchs(n, i, c):
    left, right, out = randn(n, i), randn(n, c, seed=1), randn(i, c, seed=2)
    expected = out.double() + 0.5 * left.double().t() @ right.double()
    tiles.add_over_rows(left.numpy(), right.numpy(), np.float32(0.5), out.numpy())
    assert torch.allclose(out.double(), expected, atol=1e-5)


def test_a_sum_over_rows_is_taken_in_their_order():
    n = tiles.PIECE + 6
    left, right = randn(n, 8).numpy(), randn(n, 8, seed=1).numpy()
    out = np.zeros((8, 8), np.float32)
    tiles.add_over_rows(left, right, ONE, out)
    expected = np.float32(0)
    for start in (0, tiles.PIECE):
        part = np.float32(0)
        for k in range(start, min(start + tiles.PIECE, n)):
            # A fused multiply-add rounds once; a double holds the product of two floats exactly.
            part = np.float32(np.float64(left[k, 3]) * np.float64(right[k, 5]) + part)
        expected += part
    assert out[3, 5] == expected
