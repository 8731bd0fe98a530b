"""NF4's two loops compiled by numba, for weights too large for PyTorch's several passes over them.

They round one IEEE operation at a time, as the same lines do in the Python interpreter: no fused
multiply-add and no reordered sum, and for the same CPU on every machine (pinning.py).
tests/test_kernels.py holds both loops against nf4.py's.
"""

from collections.abc import Callable

import numba
import numpy as np

ONE = np.float32(1)


def compiled(function: Callable) -> Callable:
    """The function as machine code, kept beside this file or else in the user's cache."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # nowhere to write
        return numba.njit(nogil=True, error_model="numpy")(function)


@compiled
def nf4_quantize(flat, blocksize, midpoints, least, packed, absmax):
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
def nf4_dequantize(packed, blocksize, code, scales, flat):
    """Set flat (n,), whole blocks, to the weights in packed (n / 2,) and scales (blocks,)."""
    table = np.empty(16, np.float32)
    for b in range(scales.size):
        for c in range(16):
            table[c] = code[c] * scales[b]
        pairs = packed[b * blocksize // 2 : (b + 1) * blocksize // 2]
        block = flat[b * blocksize : (b + 1) * blocksize]
        for i in range(pairs.size):
            block[2 * i] = table[pairs[i] >> 4]
            block[2 * i + 1] = table[pairs[i] & 15]
