"""x + sublayer(norm(x)) as one node of autograd: a LayerNorm and one compiled call.

Between the modules of a small model Python and PyTorch take a third of a training step. The bytes
are those of the modules, which compute where a sublayer is more than Linears and low-rank updates:
with dropout, hooks or other layers, and in other numerics.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
import torch.nn as nn

from minituner.compute import numerics
from minituner.compute.sequences import Packed

NOTHING = np.empty((0, 0), np.float32)
WIDEST = 256  # channels up to which Python counts, and a sublayer's float weights are few


class Layer(NamedTuple):
    """The numbers of a Linear and of its low-rank update, if it has one."""

    weight: torch.Tensor  # (out, in)
    bias: torch.Tensor | None = None  # (out,)
    A: torch.Tensor | None = None  # (r, in)
    B: torch.Tensor | None = None  # (out, r)
    scaling: float = 0.0

    @property
    def keeps_input(self) -> bool:
        """Whether a gradient needs the layer's input."""
        return self.A is not None or self.weight.requires_grad

    @property
    def trained(self) -> bool:
        """Whether anything of it is."""
        return self.keeps_input or (self.bias is not None and self.bias.requires_grad)

    def arrays(self) -> tuple:
        """What `sublayers` calls a layer."""
        (out, into), nothing = self.weight.shape, np.empty(0, np.float32)
        (weight,) = numerics.arrays(self.weight)
        bias = nothing if self.bias is None else numerics.arrays(self.bias)[0]
        update = nothing.reshape(0, into), nothing.reshape(out, 0)
        A, B = update if self.A is None else numerics.arrays(self.A, self.B)
        return weight, bias, A, B, np.float32(self.scaling)

    def zeros(self) -> tuple[np.ndarray, ...]:
        """What `sublayers` calls the layer's gradients: those by weight, A and B."""
        (out, into), rank = self.weight.shape, 0 if self.A is None else len(self.A)
        rows = out if self.weight.requires_grad else 0
        return tuple(np.zeros(s, np.float32) for s in ((rows, into), (rank, into), (out, rank)))


def layers(sublayer: nn.Module) -> list[Layer] | None:
    """The numbers of its Linears in their order, or None if one is of another kind."""
    found = [m.layer() if hasattr(m, "layer") else None for m in sublayer.children()]
    return None if None in found else found


def compute(
    norm: nn.LayerNorm,
    sublayer: nn.Module,
    x: torch.Tensor,
    packed: Packed | None = None,
    looked: torch.Tensor | None = None,
) -> torch.Tensor | None:
    """x + sublayer(norm(x)) for x (n, C) and an Attention or MLP of `model.py`.

    Args:
        norm: before the sublayer.
        sublayer: an attention if there are `packed` sequences, else an MLP.
        x: (n, C).
        packed: of the n symbols.
        looked: (L,), int64: the rows of x whose result (L, C) is asked for; None for all.

    Returns:
        None where the modules have to compute it.
    """
    modules = norm, *sublayer.modules()
    hooks = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in modules)
    if hooks or not numerics.pinned(x) or x.shape[1] > WIDEST:
        return None
    found, layout = layers(sublayer), ()
    if found is None or (packed and any(layer.bias is not None for layer in found)):
        return None
    if packed:
        rows = x.new_empty(0, dtype=torch.int64) if looked is None else looked
        of = numerics.arrays(packed.reads, packed.lengths, packed.first, rows)
        layout = sublayer.n_head, *of
    named = [norm.weight, norm.bias, *(tensor for layer in found for tensor in layer[:4])]
    trained = [tensor for tensor in named if tensor is not None and tensor.requires_grad]
    return _Sublayer.apply(norm, sublayer, found, layout, x, *trained)


def _loops() -> ModuleType:
    """They import numba, which takes a quarter of a second."""
    from minituner.compute.kernels import sublayers

    return sublayers


class _Sublayer(torch.autograd.Function):
    """`compute`, which keeps no float copy of an NF4 weight."""

    @staticmethod
    def forward(ctx, norm, sublayer, found, layout, x, *trained):
        ctx.norm, ctx.sublayer, ctx.layout, ctx.trained = norm, sublayer, layout, trained
        given = tuple(layer.arrays() for layer in found)
        ctx.layers = None  # made anew by backward, as the floats of a weight in NF4 must be
        if all(isinstance(layer.weight, nn.Parameter) for layer in found):
            ctx.layers = found, given
        ctx.wanted = [ctx.needs_input_grad[4], *(p.requires_grad for p in (norm.weight, norm.bias))]
        h, *stats = torch.native_layer_norm(
            x, norm.normalized_shape, norm.weight, norm.bias, norm.eps
        )
        run = _loops().attention if layout else _loops().mlp
        out, last, between, inner = run(*numerics.arrays(x, h), given, layout)
        *first, end = found
        below = any(ctx.wanted) or any(layer.trained for layer in first)
        kept = [tensor if any(ctx.wanted) else None for tensor in (x, *stats)]
        kept.append(torch.from_numpy(layout[-1]) if layout and below else None)
        kept.append(h if any(layer.keeps_input for layer in first) else None)
        kept.append(torch.from_numpy(last) if end.keeps_input else None)
        kept += (torch.from_numpy(array) if below else None for array in between)
        ctx.save_for_backward(*kept, *map(torch.from_numpy, inner))
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx, grad):
        x, mean, rstd, rows, *kept = ctx.saved_tensors
        norm, grad = ctx.norm, grad.contiguous()
        found = layers(ctx.sublayer) if ctx.layers is None else ctx.layers[0]
        given = ctx.layers[1] if ctx.layers else tuple(layer.arrays() for layer in found)
        h, last, *kept = (NOTHING if tensor is None else tensor.numpy() for tensor in kept)
        between, inner = tuple(kept[: -len(found)]), tuple(kept[-len(found) :])
        zeros = tuple(layer.zeros() for layer in found)
        run = _loops().attention_backward if ctx.layout else _loops().mlp_backward
        rest = h, last, between, inner, given, zeros, ctx.layout
        by_first, for_h = map(torch.from_numpy, run(grad.numpy(), x is not None, *rest))
        made = {}  # by parameter
        for layer, own in zip(found, zeros, strict=True):
            made |= zip((layer.weight, layer.A, layer.B), map(torch.from_numpy, own), strict=True)
        for layer, by in zip(found, (by_first, grad), strict=False):
            if layer.bias is not None and layer.bias.requires_grad:
                made[layer.bias] = by.sum(0)
        for_x = None
        if x is not None:
            for_x, made[norm.weight], made[norm.bias] = torch.ops.aten.native_layer_norm_backward(
                *(for_h, x, norm.normalized_shape, mean, rstd),
                *(norm.weight, norm.bias, ctx.wanted),
            )
        if ctx.wanted[0]:
            if rows is not None and len(rows):
                grad = torch.zeros_like(x).index_add_(0, rows, grad)
            for_x = for_x.add_(grad)
        return *(None,) * 4, for_x, *(made[parameter] for parameter in ctx.trained)
