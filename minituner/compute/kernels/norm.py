"""LayerNorm (Ba et al. 2016, arXiv:1607.06450) over the rows of a matrix.

A row's sum is taken in eight partial sums, of the elements 0, 8, 16, …, of 1, 9, 17, … and so on;
these are added in order.
"""

import numpy as np

from minituner.compute.kernels.jit import LANES, ONE, compiled


@compiled
def total(row, sums):
    """The sum of row (C,), with room for the partial sums (8,)."""
    sums[:] = np.float32(0)
    whole = row.size - row.size % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            sums[lane] += row[start + lane]
    for c in range(whole, row.size):
        sums[c - whole] += row[c]
    result = sums[0]
    for lane in range(1, LANES):
        result += sums[lane]
    return result


@compiled
def norm(x, weight, bias, eps):
    """The normalized rows of x (n, C), their means and 1 / √(variance + eps), both (n,)."""
    n, C = x.shape
    y, mean, rstd = np.empty((n, C), np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    apart, square = np.empty(C, np.float32), np.empty(C, np.float32)
    sums = np.empty(LANES, np.float32)
    for i in range(n):
        row, out = x[i], y[i]
        mean[i] = total(row, sums) / np.float32(C)
        for c in range(C):
            apart[c] = row[c] - mean[i]
            square[c] = apart[c] * apart[c]
        rstd[i] = ONE / np.sqrt(total(square, sums) / np.float32(C) + eps)
        for c in range(C):
            out[c] = apart[c] * rstd[i] * weight[c] + bias[c]
    return y, mean, rstd


@compiled
def norm_backward(grad, x, mean, rstd, weight, for_weight, for_bias, for_x):
    """Add to for_x (n, C), for_weight and for_bias (C,), if they have any, for grad (n, C) by y."""
    n, C = x.shape
    by, product = np.empty(C, np.float32), np.empty(C, np.float32)
    unit, sums = np.empty(C, np.float32), np.empty(LANES, np.float32)
    for i in range(n):
        row, by_y = x[i], grad[i]
        for c in range(C):
            unit[c] = (row[c] - mean[i]) * rstd[i]
            by[c] = by_y[c] * weight[c]
            product[c] = by[c] * unit[c]
        for c in range(for_weight.size):
            for_weight[c] += by_y[c] * unit[c]
        for c in range(for_bias.size):
            for_bias[c] += by_y[c]
        if for_x.shape[0]:
            first, second = total(by, sums) / np.float32(C), total(product, sums) / np.float32(C)
            out = for_x[i]
            for c in range(C):
                out[c] += (by[c] - first - unit[c] * second) * rstd[i]
