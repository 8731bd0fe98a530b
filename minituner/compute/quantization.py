"""NF4 by compiled loops: the codes and floats of `nf4.quantize` and `nf4.dequantize`, to the bit.

The loops take one pass where PyTorch's operations take several, and no memory beside the result.
"""

import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

from minituner import nf4
from minituner.nf4 import QuantState

LARGE = 1 << 19  # weights from which on the loops repay numba's import, where it is still to do


def repays(n: int) -> bool:
    """Whether compiled loops over n weights pay for themselves."""
    return n >= LARGE or "minituner.compute.kernels.jit" in sys.modules


def quantize(
    weight: torch.Tensor, blocksize: int = 64, double_quant: bool = False
) -> tuple[torch.Tensor, QuantState]:
    """`nf4.quantize`, for tensors on the CPU."""
    nf4.check_blocksize(blocksize)
    n = weight.numel()
    if weight.device.type != "cpu" or not repays(n):
        return nf4.quantize(weight, blocksize, double_quant)
    from minituner.compute.kernels import nf4 as loops

    flat = weight.detach().reshape(-1).float().contiguous()
    whole = n - n % blocksize  # weights in whole blocks; a shorter last block rounds differently
    packed = torch.empty(math.ceil(n / 2), 1, dtype=torch.uint8)
    absmax = torch.empty(math.ceil(n / blocksize))
    loops.quantize(
        flat[:whole].numpy(),
        blocksize,
        nf4.midpoints(nf4.code_values()).numpy(),
        np.float32(nf4.LEAST),
        packed.view(-1)[: whole // 2].numpy(),
        absmax[: whole // blocksize].numpy(),
    )
    if whole < n:
        codes, absmax[whole // blocksize :] = nf4.nearest_nf4(flat[whole:], blocksize)
        codes = F.pad(codes, (0, len(codes) % 2), value=nf4.ZERO)
        packed[whole // 2 :, 0] = codes[0::2] << 4 | codes[1::2]
    return packed, nf4.quant_state(weight, blocksize, absmax, double_quant)


def dequantize(packed: torch.Tensor, state: QuantState) -> torch.Tensor:
    """`nf4.dequantize`, for tensors on the CPU, with its errors."""
    n = math.prod(state.shape)
    if state.dtype != torch.float32 or packed.device.type != "cpu" or not repays(n):
        return nf4.dequantize(packed, state)
    nf4.check_packed(packed, state)
    from minituner.compute.kernels import nf4 as loops

    # numpy asks the kernel for large pages: half the time of writing to so much fresh memory.
    flat, scales = np.empty(n, np.float32), state.scales().float().contiguous()
    whole = n - n % state.blocksize
    loops.dequantize(
        packed.reshape(-1)[: whole // 2].contiguous().numpy(),
        state.blocksize,
        nf4.code_values().numpy(),
        scales[: whole // state.blocksize].numpy(),
        flat[:whole],
    )
    weight = torch.from_numpy(flat)
    if whole < n:
        last = QuantState((n - whole,), state.dtype, state.blocksize, scales[-1:])
        weight[whole:] = nf4.dequantize(packed[whole // 2 :], last)
    return weight.view(state.shape)
