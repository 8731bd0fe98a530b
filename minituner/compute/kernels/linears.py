"""A Linear with, or without, a low-rank update, and dropout before that, forward and backward."""

from typing import NamedTuple

import numpy as np

from minituner.compute.kernels import nf4
from minituner.compute.kernels.jit import ONE, compiled
from minituner.compute.kernels.tiles import add_over_rows, product

# SplitMix64's constants (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195).
STEP, MIX_1, MIX_2 = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
S27, S30, S31, S40 = map(np.uint64, (27, 30, 31, 40))
UNIT = np.float32(1 / (1 << 24))


class Layer(NamedTuple):
    """A Linear's numbers; those of its update have rank 0 where it has none."""

    weight: np.ndarray  # (out, in), or without rows where it is packed
    packed: nf4.NF4
    bias: np.ndarray  # (out,), or (0,)
    A: np.ndarray  # (r, in)
    B: np.ndarray  # (out, r)
    scaling: np.float32
    dropout: np.float32  # the share of the update's inputs that are dropped
    key: np.uint64  # decides which


class Gradients(NamedTuple):
    """What a layer's gradients are added to, empty where none is asked for."""

    weight: np.ndarray
    bias: np.ndarray
    A: np.ndarray
    B: np.ndarray


@compiled
def dropped(x, rate, key):
    """x (n, C) with about `rate` of its numbers 0 and the others over 1 − rate; x itself at rate 0.

    Which ones follows from the key and a number's place alone, so it can be asked for again.
    """
    if rate == 0:
        return x
    out, factor = np.empty(x.shape, np.float32), ONE / (ONE - rate)
    for i in range(x.shape[0]):
        row, new = x[i], out[i]
        for c in range(row.size):
            state = key + STEP * np.uint64(i * row.size + c + 1)
            state = (state ^ (state >> S30)) * MIX_1
            state = (state ^ (state >> S27)) * MIX_2
            state = state ^ (state >> S31)
            kept = np.float32(state >> S40) * UNIT >= rate
            new[c] = row[c] * factor if kept else np.float32(0)
    return out


@compiled
def add(x, y):
    """x with y added in place, both (n, C); y itself if x has no rows yet."""
    if x.shape[0] == 0:
        return y
    for i in range(x.shape[0]):
        row, more = x[i], y[i]
        for c in range(row.size):
            row[c] += more[c]
    return x


@compiled
def update(x, layer, y):
    """Add scaling · B A x to y (n, out), for x (n, in), and return A x (n, r)."""
    n, nothing = x.shape[0], np.empty(0, np.float32)
    inner, more = np.empty((n, layer.A.shape[0]), np.float32), np.empty(y.shape, np.float32)
    product(dropped(x, layer.dropout, layer.key), layer.A.T, nothing, inner)
    product(inner, layer.B.T, nothing, more)
    for i in range(n):
        row, line = y[i], more[i]
        for c in range(row.size):
            row[c] += line[c] * layer.scaling
    return inner


@compiled
def update_backward(grad, x, inner, layer, gradients, wanted, for_x):
    """What `linear_backward` does, for the low-rank update alone.

    x and inner have no rows where neither A nor B has a gradient.
    """
    shape, nothing = (grad.shape[0], layer.A.shape[0]), np.empty(0, np.float32)
    by_inner = np.empty(shape, np.float32)
    product(grad, layer.B, nothing, by_inner)
    if wanted:
        part = np.empty((grad.shape[0], layer.A.shape[1]), np.float32)
        product(by_inner, layer.A, nothing, part)
        for i in range(part.shape[0]):
            row = part[i]
            for c in range(row.size):
                row[c] *= layer.scaling
        for_x = add(for_x, dropped(part, layer.dropout, layer.key))
    if gradients.A.size:
        source = dropped(x, layer.dropout, layer.key)
        add_over_rows(by_inner, source, layer.scaling, gradients.A)
    if gradients.B.size:
        add_over_rows(grad, inner, layer.scaling, gradients.B)
    return for_x


@compiled
def linear(x, layer):
    """The layer's output (n, out) for x (n, in), and A x (n, r)."""
    y = np.empty((x.shape[0], layer.B.shape[0]), np.float32)
    if layer.packed.codes.size:
        nf4.product(x, layer.packed, layer.bias, y)
    else:
        product(x, layer.weight.T, layer.bias, y)
    if layer.A.shape[0]:
        return y, update(x, layer, y)
    return y, np.empty((0, 0), np.float32)


@compiled
def add_columns(grad, out):
    """Add the rows of grad (n, c), in order, to out (c,), unless it is empty."""
    for i in range(grad.shape[0] if out.size else 0):
        row = grad[i]
        for c in range(row.size):
            out[c] += row[c]


@compiled
def linear_backward(grad, x, inner, layer, gradients, wanted, for_x):
    """Add to the gradients what follows from grad (n, out), and return that by x, if wanted.

    It is for_x plus what this layer adds, or has no rows if for_x has none and it is not wanted.
    """
    if layer.A.shape[0]:
        for_x = update_backward(grad, x, inner, layer, gradients, wanted, for_x)
    if wanted:
        part = np.empty((grad.shape[0], layer.A.shape[1]), np.float32)
        if layer.packed.codes.size:
            nf4.product_backward(grad, layer.packed, part)
        else:
            product(grad, layer.weight, np.empty(0, np.float32), part)
        for_x = add(for_x, part)
    if gradients.weight.size:
        add_over_rows(grad, x, ONE, gradients.weight)
    add_columns(grad, gradients.bias)
    return for_x
