"""One Linear of any kind as a node of autograd, for models that are not MiniGPTs.

A wide weight in NF4 is multiplied a strip at a time, so that it is never in floats whole.
"""

import numpy as np
import torch
import torch.nn as nn

from minituner.compute import known
from minituner.compute.kernels import linears, tiles
from minituner.compute.kernels import nf4 as strips
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
from minituner.nf4 import QuantState, code_values


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


def fits_strips(state: QuantState | None) -> bool:
    """Whether a weight in NF4 is made of whole tiles and blocks, so that strips can be unpacked."""
    if state is None:
        return False
    out, into = state.shape
    return out % tiles.WIDE == 0 and into % state.blocksize == 0


class _Linear(torch.autograd.Function):
    """Keeps no float copy of a weight in NF4, and x only where a gradient needs it."""

    @staticmethod
    def forward(ctx, places, key, x, *tensors):
        trained, arrays, rows = ctx.needs_input_grad[3:], as_arrays(tensors), _rows(x)
        by_strips = fits_strips(places.state)
        layer = numba_layer(places, arrays, key, unpack=not by_strips)
        if by_strips:
            y = np.empty((len(rows), len(layer.B)), np.float32)
            row = layer.bias if layer.bias.size else np.zeros(y.shape[1], np.float32)
            strips.product(rows, *_packed(places, arrays), row, y)
            inner = linears.update(rows, layer, y) if layer.A.size else NO_ROWS
        else:
            y, inner = linears.linear(rows, layer)
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
        by_strips, gradients = fits_strips(places.state), gradients_of(places, sums)
        layer = numba_layer(places, arrays, ctx.key, unpack=not by_strips)
        rows, inputs = _rows(grad), NO_ROWS if x is None else _rows(x)
        inner, by_x = NO_ROWS if inner is None else inner.numpy(), NO_ROWS
        if by_strips:
            if wanted:
                by_x = np.empty((len(rows), ctx.shape[-1]), np.float32)
                strips.product_backward(rows, *_packed(places, arrays), by_x)
            if layer.A.size:
                by_x = linears.update_backward(rows, inputs, inner, layer, gradients, wanted, by_x)
            linears.add_columns(rows, gradients.bias)
        else:
            by_x = linears.linear_backward(rows, inputs, inner, layer, gradients, wanted, by_x)
        by_x = torch.from_numpy(by_x).view(ctx.shape) if wanted else None
        return None, None, by_x, *map(as_tensor, sums)


def _rows(x: torch.Tensor) -> np.ndarray:
    """(…, C) → (n, C), one row after the other."""
    return x.detach().reshape(-1, x.shape[-1]).contiguous().numpy()


def _packed(places: known.LayerPlaces, arrays: list[np.ndarray]) -> tuple:
    """A weight in NF4 as the strips' loops take it."""
    state = places.state
    codes = arrays[places.weight].reshape(-1)
    return codes, state.blocksize, code_values().numpy(), state.scales().numpy()
