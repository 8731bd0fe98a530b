"""The pinned way of computing: fixed kernels, one thread and named generators.

The parallelism is between jobs, not inside them, so a result never depends on the number of cores.
"""

import functools
import sys

import numpy as np
import torch
import torch.nn.functional as F

from minituner import pinning
from minituner.packing import Packed
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
    if x.shape[-1] <= IN_ORDER:
        return product(x, weight, bias, "none", [], "")
    y = None
    for start in range(0, x.shape[-1], IN_ORDER):
        # Copies: for pieces of a matrix oneDNN takes a kernel that is a thousand times slower.
        part, columns = (m[..., start : start + IN_ORDER].contiguous() for m in (x, weight))
        more = product(part, columns, bias if y is None else None, "none", [], "")
        y = more if y is None else y.add_(more)
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


class _LowRank(torch.autograd.Function):
    """`add_low_rank` in one node, which keeps x and A x."""

    @staticmethod
    def forward(ctx, y, x, A, B, scale):
        inner = _product(x, A, None)
        ctx.save_for_backward(x, inner, A, B)
        ctx.scale = scale
        return y + _product(inner, scale * B, None)

    @staticmethod
    def backward(ctx, grad):
        x, inner, A, B = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])
        for_inner = _product(rows, (ctx.scale * B).t(), None)
        for_x = None
        if ctx.needs_input_grad[1]:
            for_x = _product(for_inner, A.t(), None).view_as(x)
        # A few rows by as many columns: MKL's compatible mode is the quicker one here.
        for_A = for_inner.t() @ x.reshape(-1, x.shape[-1])
        for_B = rows.t() @ inner.view(-1, inner.shape[-1])
        return grad, for_x, for_A, for_B.mul_(ctx.scale), None


def _arrays(*tensors: torch.Tensor) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]


class _Attention(torch.autograd.Function):
    """`attention` by the compiled loops; the softmax is made a second time rather than kept."""

    @staticmethod
    def forward(ctx, q, k, v, heads, packed):
        from minituner import block_kernels as kernels

        ctx.layout = heads, *_arrays(packed.reads, packed.lengths, packed.first)
        y, tops = torch.zeros_like(q), q.new_zeros(len(q), heads)
        kernels.attend(*_arrays(q, k, v), *ctx.layout, *_arrays(y, tops))
        ctx.save_for_backward(q, k, v, y, tops)
        return y

    @staticmethod
    def backward(ctx, grad):
        from minituner import block_kernels as kernels

        q, k, v, *rest = ctx.saved_tensors
        gradients = [torch.zeros_like(q) for _ in range(3)]
        arrays = _arrays(*rest, grad.contiguous(), *gradients)
        kernels.attend_backward(*_arrays(q, k, v), *ctx.layout, *arrays)
        return *gradients, None, None


class _Gelu(torch.autograd.Function):
    """`gelu` with its slope made beside it and kept in place of x."""

    @staticmethod
    def forward(ctx, x):
        from minituner import block_kernels as kernels

        y, slope = torch.empty_like(x), torch.empty_like(x)
        kernels.gelu(*(array.reshape(-1) for array in _arrays(x, y, slope)))
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    def backward(ctx, grad):
        (slope,) = ctx.saved_tensors
        return grad * slope


def _pinned(x: torch.Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu" and not pinning.unrestricted()


def add_low_rank(
    y: torch.Tensor, x: torch.Tensor, A: torch.Tensor, B: torch.Tensor, scale: float
) -> torch.Tensor:
    """y + scale · B A x for y (…, out), x (…, in), A (r, in) and B (out, r)."""
    if not _pinned(x):
        return y + scale * F.linear(F.linear(x, A), B)
    return _LowRank.apply(y, x, A, B, scale)


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x Wᵀ + b, (…, in) → (…, out), equal to the last bit on every x86-64-v3 CPU in float32."""
    if not _pinned(x):
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, packed: Packed
) -> torch.Tensor:
    """Causal softmax(q kᵀ / √(C/heads)) v in each head and sequence; all (n, C), contiguous."""
    if _pinned(q):
        return _Attention.apply(q, k, v, heads, packed)
    q, k, v = (packed.padded(x).unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return packed.unpadded(y.transpose(1, 2).flatten(2))


def gelu(x: torch.Tensor) -> torch.Tensor:
    """x Φ(x) for contiguous x of any shape (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return _Gelu.apply(x) if _pinned(x) else F.gelu(x)
