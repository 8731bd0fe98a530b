"""The pinned way of computing: fixed kernels, one thread and named generators.

The parallelism is between jobs, not inside them, so a result never depends on the number of cores.
"""

import functools
import sys

import torch
import torch.nn.functional as F

from minituner import pinning
from minituner.rng import derive_seed

IN_ORDER = 256  # terms of a sum that oneDNN's AVX2 and AVX-512 kernels add in the same order


@functools.cache
def pin() -> None:
    """Compute on one thread, and say so on stderr if the bytes may not be those of other machines.

    On one thread torch's CPU kernels add in a fixed order, so `use_deterministic_algorithms` would
    forbid nothing that happens here, and it costs a second of imports a process.
    """
    torch.set_num_threads(1)
    torch.backends.mkldnn.set_flags(False)  # its GELU differs between CPUs; torch's own does not
    for departure in pinning.departures():
        print(f"minituner: not reproducible byte for byte here: {departure}", file=sys.stderr)


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A torch generator for one purpose, see `minituner.rng`."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """x Wᵀ + b by oneDNN, (rows, in) → (rows, out).

    Unlike MKL it adds up each output in order, whatever the width of the CPU's vectors, as long as
    there are at most `IN_ORDER` terms; longer sums are taken in pieces, and those added in order.
    """
    product = torch.ops.mkldnn._linear_pointwise
    y = product(x[..., :IN_ORDER], weight[:, :IN_ORDER], bias, "none", [], "")
    for start in range(IN_ORDER, x.shape[-1], IN_ORDER):
        piece = slice(start, start + IN_ORDER)
        y += product(x[..., piece], weight[:, piece], None, "none", [], "")
    return y


class _Linear(torch.autograd.Function):
    """`linear` with gradients from the same kernels; keeps x only where the weight is trained."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1]).contiguous()
        for_x = for_weight = for_bias = None
        if need_x:
            for_x = _product(rows, weight.t(), None).view(*grad.shape[:-1], weight.shape[1])
        if need_weight:
            for_weight = _product(rows.t(), x.reshape(-1, x.shape[-1]).t(), None)
        if need_bias:
            for_bias = rows.sum(0)
        return for_x, for_weight, for_bias


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x Wᵀ + b, (…, in) → (…, out), equal to the last bit on every x86-64-v3 CPU in float32."""
    if x.dtype != torch.float32 or x.device.type != "cpu" or pinning.unrestricted():
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)
