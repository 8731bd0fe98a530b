"""LayerNorm (Ba et al. 2016, arXiv:1607.06450) over the rows of a matrix.

A row's sum is taken in eight partial sums, of the elements 0, 8, 16, …, of 1, 9, 17, … and so on;
these are added in order.
"""

import numpy as np

from minituner.compute.kernels import lanes
from minituner.compute.kernels.jit import LANES, ONE, compiled


@compiled
def total(row, rest):
    """The sum of row (C,). rest (8,) is room, zeros, and the same for rows of one size."""
    whole = row.size - row.size % LANES
    for c in range(whole, row.size):
        rest[c - whole] = row[c]
    return lanes.total(row, whole, rest)


@compiled
def norm(x, weight, bias, eps):
    """The normalized rows of x (n, C), their means and 1 / √(variance + eps), both (n,)."""
    n, C = x.shape
    y, mean, rstd = np.empty((n, C), np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    apart, square = np.empty(C, np.float32), np.empty(C, np.float32)
    rest = np.zeros(LANES, np.float32)
    for i in range(n):
        row, out = x[i], y[i]
        middle = total(row, rest) / np.float32(C)
        for c in range(C):
            apart[c] = row[c] - middle
            square[c] = apart[c] * apart[c]
        factor = ONE / np.sqrt(total(square, rest) / np.float32(C) + eps)
        for c in range(C):
            out[c] = apart[c] * factor * weight[c] + bias[c]
        mean[i], rstd[i] = middle, factor
    return y, mean, rstd


@compiled
def norm_backward(grad, x, mean, rstd, weight, for_weight, for_bias, for_x):
    """Add to for_x (n, C), for_weight and for_bias (C,), if they have any, for grad (n, C) by y."""
    n, C = x.shape
    by, product = np.empty(C, np.float32), np.empty(C, np.float32)
    unit, rest = np.empty(C, np.float32), np.zeros(LANES, np.float32)
    for i in range(n):
        row, by_y, middle, factor = x[i], grad[i], mean[i], rstd[i]
        for c in range(C):
            unit[c] = (row[c] - middle) * factor
            by[c] = by_y[c] * weight[c]
            product[c] = by[c] * unit[c]
        for c in range(for_weight.size):
            for_weight[c] += by_y[c] * unit[c]
        for c in range(for_bias.size):
            for_bias[c] += by_y[c]
        if for_x.shape[0]:
            first, second = total(by, rest) / np.float32(C), total(product, rest) / np.float32(C)
            out = for_x[i]
            for c in range(C):
                out[c] += (by[c] - first - unit[c] * second) * factor
