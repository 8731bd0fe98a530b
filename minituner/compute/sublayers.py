"""x + sublayer(norm(x)) as one node of autograd: a LayerNorm and one compiled call.

Between the modules of a small model Python and PyTorch take a third of a training step. The bytes
are those of `functions`, one operation after the other.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn as nn

from minituner.compute import quantization
from minituner.compute.functions import arrays
from minituner.compute.kernels import sublayers as loops
from minituner.compute.sequences import Packed
from minituner.lora import LoRALinear
from minituner.model import MLP, Attention
from minituner.nf4 import NF4Linear

NOTHING = np.empty((0, 0), np.float32)


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
        """Whether the layer has a trained weight, bias or update."""
        return self.keeps_input or (self.bias is not None and self.bias.requires_grad)

    def as_arrays(self) -> tuple:
        """What the loops call a layer."""
        (out, into), nothing = self.weight.shape, np.empty(0, np.float32)
        (weight,) = arrays(self.weight)
        bias = nothing if self.bias is None else arrays(self.bias)[0]
        no_update = nothing.reshape(0, into), nothing.reshape(out, 0)
        A, B = no_update if self.A is None else arrays(self.A, self.B)
        return weight, bias, A, B, np.float32(self.scaling)

    def zero_gradients(self) -> tuple[np.ndarray, ...]:
        """What the loops add the layer's gradients to: those by weight, A and B."""
        (out, into), rank = self.weight.shape, 0 if self.A is None else len(self.A)
        rows = out if self.weight.requires_grad else 0
        return tuple(np.zeros(s, np.float32) for s in ((rows, into), (rank, into), (out, rank)))


def layer_of(module: nn.Module) -> Layer:
    """The numbers of a Linear of any kind; a weight in NF4 as floats."""
    if isinstance(module, LoRALinear):
        base = layer_of(module.base)
        if module.merged:
            return base
        return Layer(base.weight, base.bias, module.lora_A, module.lora_B, module.scaling)
    if isinstance(module, NF4Linear):
        return Layer(quantization.dequantize(module.weight, module.quant_state), module.bias)
    return Layer(module.weight, module.bias)


class Saved(NamedTuple):
    """What a sublayer keeps for its backward pass; None where no gradient needs it.

    Behind these come what lies between the layers, and each layer's A x.
    """

    x: torch.Tensor | None
    mean: torch.Tensor | None
    rstd: torch.Tensor | None
    looked: torch.Tensor | None
    h: torch.Tensor | None  # norm(x)
    last: torch.Tensor | None  # the last layer's input


def residual(
    norm: nn.LayerNorm,
    sublayer: Attention | MLP,
    x: torch.Tensor,
    packed: Packed | None = None,
    looked: torch.Tensor | None = None,
) -> torch.Tensor:
    """x + sublayer(norm(x)), (n, C) → (n, C).

    Args:
        norm: before the sublayer.
        sublayer: an attention if there are `packed` sequences, else an MLP.
        x: (n, C).
        packed: sequences of the n symbols.
        looked: (L,), int64: the rows of x whose result (L, C) is asked for; None for all.
    """
    layers = [layer_of(module) for module in sublayer.children()]
    layout = ()
    if packed:
        rows = x.new_empty(0, dtype=torch.int64) if looked is None else looked
        layout = sublayer.n_head, *arrays(packed.reads, packed.lengths, packed.first, rows)
    named = [norm.weight, norm.bias, *(tensor for layer in layers for tensor in layer[:4])]
    trained = [tensor for tensor in named if tensor is not None and tensor.requires_grad]
    return _Sublayer.apply(norm, sublayer, layers, layout, x, *trained)


class _Sublayer(torch.autograd.Function):
    """`residual`, which keeps no float copy of an NF4 weight."""

    @staticmethod
    def forward(ctx, norm, sublayer, layers, layout, x, *trained):
        ctx.norm, ctx.sublayer, ctx.layout, ctx.trained = norm, sublayer, layout, trained
        layer_arrays = tuple(layer.as_arrays() for layer in layers)
        ctx.layers = None  # made anew by backward, as the floats of a weight in NF4 must be
        if all(isinstance(layer.weight, nn.Parameter) for layer in layers):
            ctx.layers = layers, layer_arrays
        # Whether a gradient by x, by the norm's weight and by its bias is asked for.
        ctx.wanted = [ctx.needs_input_grad[4], *(p.requires_grad for p in (norm.weight, norm.bias))]
        h, mean, rstd = torch.native_layer_norm(
            x, norm.normalized_shape, norm.weight, norm.bias, norm.eps
        )
        run = loops.attention if layout else loops.mlp
        out, last, between, inner = run(*arrays(x, h), layer_arrays, layout)
        *first, end = layers
        before_norm = any(ctx.wanted)
        below = before_norm or any(layer.trained for layer in first)
        saved = Saved(
            *((x, mean, rstd) if before_norm else (None, None, None)),
            torch.from_numpy(layout[-1]) if layout and below else None,
            h if any(layer.keeps_input for layer in first) else None,
            torch.from_numpy(last) if end.keeps_input else None,
        )
        kept_between = (torch.from_numpy(array) if below else None for array in between)
        ctx.save_for_backward(*saved, *kept_between, *map(torch.from_numpy, inner))
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx, grad):
        fixed = len(Saved._fields)
        saved = Saved(*ctx.saved_tensors[:fixed])
        norm, grad = ctx.norm, grad.contiguous()
        if ctx.layers:
            layers, layer_arrays = ctx.layers
        else:
            layers = [layer_of(module) for module in ctx.sublayer.children()]
            layer_arrays = tuple(layer.as_arrays() for layer in layers)
        as_array = [NOTHING if t is None else t.numpy() for t in ctx.saved_tensors[fixed:]]
        between, inner = tuple(as_array[: -len(layers)]), tuple(as_array[-len(layers) :])
        h, last = (NOTHING if t is None else t.numpy() for t in (saved.h, saved.last))
        sums = tuple(layer.zero_gradients() for layer in layers)
        run = loops.attention_backward if ctx.layout else loops.mlp_backward
        by_first, by_h = map(
            torch.from_numpy,
            run(
                *(grad.numpy(), saved.x is not None, h, last),
                *(between, inner, layer_arrays, sums, ctx.layout),
            ),
        )
        gradients = {}  # by parameter
        for layer, by_layer in zip(layers, sums, strict=True):
            names = layer.weight, layer.A, layer.B
            gradients |= zip(names, map(torch.from_numpy, by_layer), strict=True)
        for layer, by_output in zip(layers, (by_first, grad), strict=False):
            if layer.bias is not None and layer.bias.requires_grad:
                gradients[layer.bias] = by_output.sum(0)
        by_x = None
        if saved.x is not None:
            by_x, gradients[norm.weight], gradients[norm.bias] = (
                torch.ops.aten.native_layer_norm_backward(
                    *(by_h, saved.x, norm.normalized_shape, saved.mean, saved.rstd),
                    *(norm.weight, norm.bias, ctx.wanted),
                )
            )
        if ctx.wanted[0]:
            if saved.looked is not None and len(saved.looked):
                grad = torch.zeros_like(saved.x).index_add_(0, saved.looked, grad)
            by_x = by_x.add_(grad)
        return *(None,) * 4, by_x, *(gradients[parameter] for parameter in ctx.trained)
