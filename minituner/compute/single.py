"""One Linear of any kind as a node of autograd, for models that are not MiniGPTs."""

import numpy as np
import torch
import torch.nn as nn

from minituner.compute import known
from minituner.compute.kernels import linears
from minituner.compute.setup import drawn_key
from minituner.compute.step import (
    NO_ROWS,
    as_arrays,
    as_tensor,
    gradients_of,
    keeps_input,
    numba_layer,
    zero_gradients,
)


def linear(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What one Linear makes of x, (…, in) → (…, out): float, in NF4 or with a low-rank update."""
    if torch.compiler.is_compiling():  # which cannot look into the loops
        return layer(x)
    try:
        known.check_surroundings()
        tensors = known.Tensors()
        places = tensors.layer(layer, layer.out_features, layer.in_features)
        known.check_input(x, layer.in_features)
    except known.Unknown:
        return layer(x)
    key = drawn_key() if places.dropout else 0
    return _Linear.apply(places, key, x, *tensors.tensors)


class _Linear(torch.autograd.Function):
    """Keeps no float copy of a weight in NF4, and x only where a gradient needs it."""

    @staticmethod
    def forward(ctx, places, key, x, *tensors):
        trained, arrays, rows = ctx.needs_input_grad[3:], as_arrays(tensors), _rows(x)
        y, inner = linears.linear(rows, numba_layer(places, arrays, key))
        ctx.places, ctx.key, ctx.shape = places, key, x.shape
        kept = keeps_input(places, trained)
        ctx.save_for_backward(
            x if kept else None, as_tensor(inner) if kept and inner.size else None, *tensors
        )
        return torch.from_numpy(y).view(*x.shape[:-1], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, inner, *tensors = ctx.saved_tensors
        wanted, arrays, places = ctx.needs_input_grad[2], as_arrays(tensors), ctx.places
        sums = zero_gradients(arrays, ctx.needs_input_grad[3:])
        layer, gradients = numba_layer(places, arrays, ctx.key), gradients_of(places, sums)
        rows, inputs = _rows(grad), NO_ROWS if x is None else _rows(x)
        inner = NO_ROWS if inner is None else inner.numpy()
        by_x = linears.linear_backward(rows, inputs, inner, layer, gradients, wanted, NO_ROWS)
        by_x = torch.from_numpy(by_x).view(ctx.shape) if wanted else None
        return None, None, by_x, *map(as_tensor, sums)


def _rows(x: torch.Tensor) -> np.ndarray:
    """(…, C) → (n, C), one row after the other."""
    return x.detach().reshape(-1, x.shape[-1]).contiguous().numpy()
