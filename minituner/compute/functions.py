"""The textbook's operations as functions of autograd over compiled loops, one operation a node.

They compute whatever the compiled sublayers do not: wide models, and shapes other than MiniGPT's.
"""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner.compute import quantization
from minituner.compute.kernels import attention as attention_loops
from minituner.compute.kernels import gelu as gelu_loops
from minituner.compute.kernels import nf4 as nf4_loops
from minituner.compute.kernels import tiles
from minituner.compute.kernels.jit import ONE
from minituner.compute.sequences import Packed
from minituner.foundation import environment
from minituner.lora import LoRALinear
from minituner.nf4 import NF4Linear, QuantState, code_values


def arrays(*tensors: torch.Tensor) -> list[np.ndarray]:
    """The same memory for numba."""
    return [tensor.detach().numpy() for tensor in tensors]


def pinned(x: torch.Tensor) -> bool:
    """Whether the compiled loops compute what follows from x."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and not environment.unrestricted()


def linear(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What a Linear makes of x, (…, in) → (…, out): float, in NF4 or with a low-rank update."""
    if not pinned(x):
        return layer(x)
    if isinstance(layer, LoRALinear):
        y = linear(layer.base, x)
        if layer.merged:
            return y
        x = F.dropout(x, layer.dropout, layer.training)
        return _LowRank.apply(y, x, layer.lora_A, layer.lora_B, layer.scaling)
    if isinstance(layer, NF4Linear):
        return _NF4Linear.apply(x, layer.weight, layer.quant_state, layer.bias)
    return product(x, layer.weight, layer.bias)


def product(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """x Wᵀ + b, (…, in) → (…, out), float32, equal to the last bit on every x86-64-v3 CPU."""
    return _Linear.apply(x, weight, bias)


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, packed: Packed
) -> torch.Tensor:
    """Causal softmax(q kᵀ / √(C/heads)) v in each head and sequence; all (n, C), contiguous."""
    return _Attention.apply(q, k, v, heads, packed)


def gelu(x: torch.Tensor) -> torch.Tensor:
    """x Φ(x) for contiguous x of any shape (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return _Gelu.apply(x)


def _rows(x: torch.Tensor) -> torch.Tensor:
    """(…, C) → (n, C), one row after the other."""
    return x.reshape(-1, x.shape[-1]).contiguous()


def _product(x: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """X × right + bias, (…, in) → (…, out)."""
    out = x.new_empty(*x.shape[:-1], right.shape[1])
    row = x.new_empty(0) if bias is None else bias
    tiles.product(*arrays(_rows(x), right, row, _rows(out)))
    return out


class _Linear(torch.autograd.Function):
    """`product` with gradients; keeps x only where the weight is trained."""

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
            tiles.add_over_rows(*arrays(_rows(grad), _rows(x)), ONE, *arrays(for_weight))
        if need_bias:
            for_bias = _rows(grad).sum(0)
        return for_x, for_weight, for_bias


class _LowRank(torch.autograd.Function):
    """y + scaling · B A x in one node, which keeps x and A x.

    y is (…, out), x (…, in), A (r, in) and B (out, r).
    """

    @staticmethod
    def forward(ctx, y, x, A, B, scaling):
        ctx.scaling, out = np.float32(scaling), y.new_empty(y.shape)
        inner = x.new_empty(math.prod(x.shape[:-1]), len(A))
        tiles.low_rank(*arrays(*map(_rows, (y, x, A, B))), ctx.scaling, *arrays(inner, _rows(out)))
        ctx.save_for_backward(x, inner, A, B)
        return out

    @staticmethod
    def backward(ctx, grad):
        x, inner, A, B = ctx.saved_tensors
        need_x = ctx.needs_input_grad[1]
        for_x = x.new_empty(x.shape if need_x else (0, 1))
        for_A, for_B = A.new_zeros(A.shape), B.new_zeros(B.shape)
        tiles.low_rank_backward(
            *arrays(*map(_rows, (grad, x, inner, A, B))),
            ctx.scaling,
            *arrays(_rows(for_x), for_A, for_B),
        )
        return grad, for_x if need_x else None, for_A, for_B, None


class _Attention(torch.autograd.Function):
    """`attention` by the compiled loops; the softmax is made a second time rather than kept."""

    @staticmethod
    def forward(ctx, q, k, v, heads, packed):
        ctx.layout = heads, *arrays(packed.reads, packed.lengths, packed.first)
        y, tops = torch.zeros_like(q), q.new_zeros(len(q), heads)
        attention_loops.attend(*arrays(q, k, v), *ctx.layout, *arrays(y, tops))
        ctx.save_for_backward(q, k, v, y, tops)
        return y

    @staticmethod
    def backward(ctx, grad):
        q, k, v, y, tops = ctx.saved_tensors
        gradients = [torch.zeros_like(q) for _ in range(3)]
        attention_loops.attend_backward(
            *arrays(q, k, v), *ctx.layout, *arrays(y, tops, grad.contiguous(), *gradients)
        )
        return *gradients, None, None


class _Gelu(torch.autograd.Function):
    """`gelu` with its slope made beside it and kept in place of x."""

    @staticmethod
    def forward(ctx, x):
        y, slope = torch.empty_like(x), torch.empty_like(x)
        gelu_loops.gelu(*(array.reshape(-1) for array in arrays(x, y, slope)))
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    def backward(ctx, grad):
        (slope,) = ctx.saved_tensors
        return grad * slope


def fits_strips(state: QuantState) -> bool:
    """Whether a weight is made of whole tiles and blocks, so that strips of it can be unpacked."""
    out, into = state.shape
    whole = out % tiles.WIDE == 0 and into % state.blocksize == 0
    return whole and state.dtype == torch.float32


class _NF4Linear(torch.autograd.Function):
    """y = x Wᵀ + b for a packed W, which backward unpacks anew: a float copy never stays alive."""

    @staticmethod
    def forward(ctx, x, packed, state, bias):
        ctx.save_for_backward(packed)
        ctx.state = state
        if not fits_strips(state):
            weight = quantization.dequantize(packed, state).to(x.dtype)
            return _product(x, weight.t(), bias)
        row = x.new_zeros(state.shape[0]) if bias is None else bias
        y = x.new_empty(*x.shape[:-1], state.shape[0])
        codes, scales = packed.view(-1), state.scales()
        nf4_loops.product(
            *arrays(_rows(x), codes), state.blocksize,
            *arrays(code_values(), scales, row, _rows(y)),
        )  # fmt: skip
        return y

    @staticmethod
    def backward(ctx, grad):
        (packed,), state = ctx.saved_tensors, ctx.state
        if not fits_strips(state):
            weight = quantization.dequantize(packed, state).to(grad.dtype)
            return _product(grad.contiguous(), weight, None), None, None, None
        for_x = grad.new_empty(*grad.shape[:-1], state.shape[1])
        codes, scales = packed.view(-1), state.scales()
        nf4_loops.product_backward(
            *arrays(_rows(grad), codes), state.blocksize,
            *arrays(code_values(), scales, _rows(for_x)),
        )  # fmt: skip
        return for_x, None, None, None
