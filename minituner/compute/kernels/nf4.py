"""NF4's loops: quantize, dequantize, and products with a weight that is unpacked a strip at a time.

So a wide weight is never in floats whole. The bytes are those of PyTorch's operations in nf4.py and
of unpacking the weight first.
"""

from typing import NamedTuple

import numpy as np

from minituner.compute.kernels.jit import LANES, ONE, VECTOR, compiled
from minituner.compute.kernels.lanes import look_up
from minituner.compute.kernels.tiles import (
    HIGH,
    WIDE,
    copy,
    copy_columns,
    long_tile,
    padded,
    wide_tile,
)

ZERO = np.float32(0)
STRIP = 32  # columns unpacked at a time, a part of one block; the rows are WIDE


class NF4(NamedTuple):
    """A weight (out, in) in NF4, whole tiles and blocks; without codes where it is in floats."""

    codes: np.ndarray  # (out · in / 2,), uint8
    blocksize: int
    code: np.ndarray  # (16,)
    scales: np.ndarray  # (blocks,)


@compiled
def quantize(flat, blocksize, midpoints, least, packed, absmax):
    """Set packed (n / 2,) and absmax (blocks,) to the NF4 form of flat (n,), whole blocks.

    A block with a NaN in it gets an absmax of NaN.
    """
    scaled, codes = np.empty(blocksize, np.float32), np.empty(blocksize, np.uint8)
    for b in range(absmax.size):
        block = flat[b * blocksize : (b + 1) * blocksize]
        largest, undefined = np.float32(0), 0
        for x in block:
            largest = max(abs(x), largest)
            undefined += x != x
        absmax[b] = np.float32(np.nan) if undefined else largest
        factor = ONE / max(largest, least)
        for i in range(blocksize):
            scaled[i], codes[i] = block[i] * factor, 0
        for midpoint in midpoints:
            for i in range(blocksize):
                codes[i] += np.uint8(scaled[i] > midpoint)
        pairs = packed[b * blocksize // 2 : (b + 1) * blocksize // 2]
        for i in range(pairs.size):
            pairs[i] = (codes[2 * i] << np.uint8(4)) | codes[2 * i + 1]


@compiled
def dequantize(packed, blocksize, code, scales, flat):
    """Set flat (n,), whole blocks, to the weights in packed (n / 2,) and scales (blocks,)."""
    table = np.empty(16, np.float32)
    for b in range(scales.size):
        for c in range(16):
            table[c] = code[c] * scales[b]
        pairs = packed[b * blocksize // 2 : (b + 1) * blocksize // 2]
        look_up(table, pairs, flat[b * blocksize : (b + 1) * blocksize])


@compiled
def product(x, packed, row, out):
    """Set out (n, out) to x (n, in) Wᵀ + row (out,), which is empty for zeros; W is in NF4."""
    n, into = x.shape
    codes, blocksize, code, scales = packed
    # The symbols lie along the vectors, so that W's rows are read as they are unpacked.
    columns = np.zeros(((n + WIDE - 1) // WIDE, into, WIDE), np.float32)
    for p in range(columns.shape[0]):
        copy_columns(x[p * WIDE : (p + 1) * WIDE].T, columns[p])
    weight, part = np.empty((WIDE, into), np.float32), np.empty((WIDE, WIDE), np.float32)
    for o in range(0, out.shape[1], WIDE):
        start, stop = o * into, (o + WIDE) * into
        pairs, own = codes[start // 2 : stop // 2], scales[start // blocksize : stop // blocksize]
        dequantize(pairs, blocksize, code, own, weight.reshape(-1))
        for p in range(columns.shape[0]):
            if n - p * WIDE > VECTOR:
                for i in range(0, WIDE, HIGH):
                    wide_tile(part, i, 0, weight, columns[p], 0, into)
            else:
                for i in range(0, WIDE, LANES):
                    long_tile(part, i, 0, weight, columns[p], 0, into)
            for t in range(p * WIDE, min((p + 1) * WIDE, n)):
                for i in range(WIDE):
                    out[t, o + i] = part[i, t - p * WIDE] + (row[o + i] if row.size else ZERO)


@compiled
def product_backward(grad, packed, for_x):
    """Set for_x (n, in) to grad (n, out) W, for W in NF4, rows of whole blocks."""
    n, into = for_x.shape
    codes, blocksize, code, scales = packed
    left, whole = padded(grad, HIGH, 0), padded(for_x, HIGH, 0)
    weight = np.empty((STRIP // WIDE, grad.shape[1], WIDE), np.float32)
    table = np.empty(16, np.float32)
    for c in range(0, into, STRIP):
        for o in range(grad.shape[1]):
            start = o * into + c
            for i in range(16):
                table[i] = code[i] * scales[start // blocksize]
            for p in range(weight.shape[0]):
                first = (start + p * WIDE) // 2
                look_up(table, codes[first : first + WIDE // 2], weight[p, o])
        for p in range(weight.shape[0]):
            part = whole[:, c + p * WIDE : c + (p + 1) * WIDE]
            for i in range(0, n, HIGH):
                wide_tile(part, max(min(i, n - HIGH), 0), 0, left, weight[p], 0, grad.shape[1])
    if whole.size > for_x.size:
        copy(whole, for_x)
