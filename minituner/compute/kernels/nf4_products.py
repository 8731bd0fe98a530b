"""Products with a weight in NF4, unpacked a strip at a time, so that it is never in floats whole.

The bytes are those of unpacking it first: tests/test_nf4.py holds both against each other.
"""

import numpy as np

from minituner.compute.kernels.jit import compiled, nf4_dequantize
from minituner.compute.kernels.tiles import HIGH, WIDE, copy_columns, padded, wide_tile

STRIP = 32  # columns unpacked at a time, a part of one block; the rows are WIDE


@compiled
def product(x, packed, blocksize, code, scales, row, out):
    """Set out (n, out) to x (n, in) Wᵀ + row (out,), for W (out, in), out whole tiles."""
    n, into = x.shape
    # The symbols lie along the vectors, so that W's rows are read as they are unpacked.
    columns = np.zeros(((n + WIDE - 1) // WIDE, into, WIDE), np.float32)
    for p in range(columns.shape[0]):
        copy_columns(x[p * WIDE : (p + 1) * WIDE].T, columns[p])
    weight, part = np.empty((WIDE, into), np.float32), np.empty((WIDE, WIDE), np.float32)
    for o in range(0, out.shape[1], WIDE):
        start, stop = o * into, (o + WIDE) * into
        codes, own = packed[start // 2 : stop // 2], scales[start // blocksize : stop // blocksize]
        nf4_dequantize(codes, blocksize, code, own, weight.reshape(-1))
        for p in range(columns.shape[0]):
            for i in range(0, WIDE, HIGH):
                wide_tile(part, i, 0, weight, columns[p], 0, into)
            for t in range(p * WIDE, min((p + 1) * WIDE, n)):
                for i in range(WIDE):
                    out[t, o + i] = part[i, t - p * WIDE] + row[o + i]


@compiled
def product_backward(grad, packed, blocksize, code, scales, for_x):
    """Set for_x (n, in) to grad (n, out) W, for W (out, in), rows of whole blocks."""
    n, into = for_x.shape
    left, whole = padded(grad, HIGH, 0), padded(for_x, HIGH, 0)
    weight = np.empty((STRIP // WIDE, grad.shape[1], WIDE), np.float32)
    table = np.empty(16, np.float32)
    for c in range(0, into, STRIP):
        for o in range(grad.shape[1]):
            start = o * into + c
            for i in range(16):
                table[i] = code[i] * scales[start // blocksize]
            for p in range(weight.shape[0]):
                first, line = (start + p * WIDE) // 2, weight[p, o]
                pairs = packed[first : first + WIDE // 2]
                for i in range(WIDE // 2):
                    line[2 * i], line[2 * i + 1] = table[pairs[i] >> 4], table[pairs[i] & 15]
        for p in range(weight.shape[0]):
            part = whole[:, c + p * WIDE : c + (p + 1) * WIDE]
            for i in range(0, n, HIGH):
                wide_tile(part, max(min(i, n - HIGH), 0), 0, left, weight[p], 0, grad.shape[1])
    if whole.size > for_x.size:
        for_x[:] = whole[:n]
