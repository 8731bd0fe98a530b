"""The pinned way of computing: fixed kernels, one thread and named generators.

The parallelism is between jobs, and between the shards of a batch, which `train.py` adds up in
order. So a result never depends on the number of cores.
"""

import ctypes
import functools
import math
import sys
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F

from minituner.compute.sequences import Packed
from minituner.foundation import environment as pinning
from minituner.foundation.seeds import derive_seed

ONE = np.float32(1)
# glibc's numbers for mallopt, and the bytes set for them.
KEPT = {"M_TRIM_THRESHOLD": (-1, 1 << 28), "M_MMAP_THRESHOLD": (-3, 1 << 25)}


@functools.cache
def pin() -> None:
    """Compute on one thread, and say so on stderr if the bytes may not be those of other machines.

    On one thread torch's CPU kernels add in a fixed order, so `use_deterministic_algorithms` would
    forbid nothing that happens here, and it costs a second of imports a process.
    """
    torch.set_num_threads(1)
    torch.backends.mkldnn.set_flags(False)  # its GELU differs between CPUs; torch's own does not
    _keep_memory()
    for departure in pinning.departures():
        print(f"minituner: not reproducible byte for byte here: {departure}", file=sys.stderr)


def _keep_memory() -> None:
    """Have glibc keep what a training step frees for the next step.

    Else it goes back to the kernel, and comes again page by page: a fifth of the step's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # of glibc alone
    for name, value in KEPT.values() if mallopt else ():
        mallopt(name, value)


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A torch generator for one purpose, see `minituner.rng`."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def _loops() -> ModuleType:
    """Attention and GELU; whoever computes imports numba, which takes a quarter of a second."""
    from minituner.compute.kernels import attention

    return attention


def _tiles() -> ModuleType:
    """Products."""
    from minituner.compute.kernels import tiles

    return tiles


def arrays(*tensors: torch.Tensor) -> list[np.ndarray]:
    """The same memory for numba."""
    return [tensor.detach().numpy() for tensor in tensors]


def _rows(x: torch.Tensor) -> torch.Tensor:
    """(…, C) → (n, C), one row after the other."""
    return x.reshape(-1, x.shape[-1]).contiguous()


def _product(x: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """X × right + bias, (…, in) → (…, out)."""
    out = x.new_empty(*x.shape[:-1], right.shape[1])
    row = x.new_empty(0) if bias is None else bias
    _tiles().product(*arrays(_rows(x), right, row, _rows(out)))
    return out


class _Linear(torch.autograd.Function):
    """`linear` with gradients; keeps x only where the weight is trained."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        return _product(x, weight.t(), bias)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        for_x = for_weight = for_bias = None
        if need_x:
            for_x = _product(grad, weight, None)
        if need_weight:
            for_weight = weight.new_zeros(weight.shape)
            given = arrays(_rows(grad), _rows(x))
            _tiles().add_over_rows(*given, ONE, *arrays(for_weight))
        if need_bias:
            for_bias = _rows(grad).sum(0)
        return for_x, for_weight, for_bias


class _LowRank(torch.autograd.Function):
    """`add_low_rank` in one node, which keeps x and A x."""

    @staticmethod
    def forward(ctx, y, x, A, B, scale):
        ctx.scale, out = np.float32(scale), y.new_empty(y.shape)
        inner = x.new_empty(math.prod(x.shape[:-1]), len(A))
        given = arrays(*map(_rows, (y, x, A, B)))
        _tiles().low_rank(*given, ctx.scale, *arrays(inner, _rows(out)))
        ctx.save_for_backward(x, inner, A, B)
        return out

    @staticmethod
    def backward(ctx, grad):
        x, inner, A, B = ctx.saved_tensors
        need_x = ctx.needs_input_grad[1]
        for_x = x.new_empty(x.shape if need_x else (0, 1))
        for_A, for_B = A.new_zeros(A.shape), B.new_zeros(B.shape)
        given = arrays(*map(_rows, (grad, x, inner, A, B)))
        _tiles().low_rank_backward(*given, ctx.scale, *arrays(_rows(for_x), for_A, for_B))
        return grad, for_x if need_x else None, for_A, for_B, None


class _Attention(torch.autograd.Function):
    """`attention` by the compiled loops; the softmax is made a second time rather than kept."""

    @staticmethod
    def forward(ctx, q, k, v, heads, packed):
        ctx.layout = heads, *arrays(packed.reads, packed.lengths, packed.first)
        y, tops = torch.zeros_like(q), q.new_zeros(len(q), heads)
        _loops().attend(*arrays(q, k, v), *ctx.layout, *arrays(y, tops))
        ctx.save_for_backward(q, k, v, y, tops)
        return y

    @staticmethod
    def backward(ctx, grad):
        q, k, v, *rest = ctx.saved_tensors
        gradients = [torch.zeros_like(q) for _ in range(3)]
        given = arrays(*rest, grad.contiguous(), *gradients)
        _loops().attend_backward(*arrays(q, k, v), *ctx.layout, *given)
        return *gradients, None, None


class _Gelu(torch.autograd.Function):
    """`gelu` with its slope made beside it and kept in place of x."""

    @staticmethod
    def forward(ctx, x):
        y, slope = torch.empty_like(x), torch.empty_like(x)
        _loops().gelu(*(array.reshape(-1) for array in arrays(x, y, slope)))
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    def backward(ctx, grad):
        (slope,) = ctx.saved_tensors
        return grad * slope


def pinned(x: torch.Tensor) -> bool:
    """Whether the compiled loops compute what follows from x."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and not pinning.unrestricted()


def add_low_rank(
    y: torch.Tensor, x: torch.Tensor, A: torch.Tensor, B: torch.Tensor, scale: float
) -> torch.Tensor:
    """y + scale · B A x for y (…, out), x (…, in), A (r, in) and B (out, r)."""
    if not pinned(x):
        return y + scale * F.linear(F.linear(x, A), B)
    return _LowRank.apply(y, x, A, B, scale)


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x Wᵀ + b, (…, in) → (…, out), equal to the last bit on every x86-64-v3 CPU in float32."""
    if not pinned(x):
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, packed: Packed
) -> torch.Tensor:
    """Causal softmax(q kᵀ / √(C/heads)) v in each head and sequence; all (n, C), contiguous."""
    if pinned(q):
        return _Attention.apply(q, k, v, heads, packed)
    q, k, v = (packed.padded(x).unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return packed.unpadded(y.transpose(1, 2).flatten(2))


def gelu(x: torch.Tensor) -> torch.Tensor:
    """x Φ(x) for contiguous x of any shape (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return _Gelu.apply(x) if pinned(x) else F.gelu(x)
