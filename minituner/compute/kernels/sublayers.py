"""A block's two sublayers, each compiled as one function: attention and MLP with their Linears.

They make, in the same order, the products and sums that `compute/functions.py` makes one by one, so
the bytes are the same.

A layer is a tuple of its weight (out, in), bias (out,) or (0,), lora_A (r, in), lora_B (out, r) and
scaling, with r = 0 where it has no adapter. Its gradients are a tuple of those by weight, lora_A
and lora_B, the first empty where the weight is frozen.
"""

import numpy as np

from minituner.compute.kernels.attention import attend, attend_backward
from minituner.compute.kernels.gelu import gelu
from minituner.compute.kernels.jit import ONE, compiled
from minituner.compute.kernels.tiles import add_over_rows, low_rank, low_rank_backward, product


@compiled
def linear(x, layer):
    """The layer's output (n, out) for x (n, in), and A x (n, r)."""
    weight, bias, A, B, scaling = layer
    y = np.empty((x.shape[0], weight.shape[0]), np.float32)
    inner = np.empty((x.shape[0], A.shape[0]), np.float32)
    product(x, weight.T, bias, y)
    if A.shape[0] == 0:
        return y, inner
    updated = np.empty_like(y)
    low_rank(y, x, A, B, scaling, inner, updated)
    return updated, inner


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
def linear_backward(grad, x, inner, layer, gradients, wanted, for_x):
    """Add to the gradients what follows from grad (n, out), and return that by x, if wanted.

    It is for_x plus what this layer adds, or has no rows if for_x has none and it is not wanted.
    """
    weight, _, A, B, scaling = layer
    for_weight, for_A, for_B = gradients
    rows = grad.shape[0] if wanted else 0
    if A.shape[0]:
        part = np.empty((rows, weight.shape[1]), np.float32)
        low_rank_backward(grad, x, inner, A, B, scaling, part, for_A, for_B)
        for_x = add(for_x, part)
    if wanted:
        part = np.empty((rows, weight.shape[1]), np.float32)
        product(grad, weight, np.empty(0, np.float32), part)
        for_x = add(for_x, part)
    if for_weight.size:
        add_over_rows(grad, x, ONE, for_weight)
    return for_x


@compiled
def attention(x, h, layers, layout):
    """x + o's output for the attention of h (n, C), at the rows `looked` or, if empty, at all.

    Returns also what the backward pass may need: the input of the last layer, what lies between
    the layers, and each layer's A x.
    """
    heads, reads, lengths, first, looked = layout
    queries, by_q = linear(h, layers[0])
    keys, by_k = linear(h, layers[1])
    values, by_v = linear(h, layers[2])
    y, tops = np.zeros_like(queries), np.zeros((h.shape[0], heads), np.float32)
    attend(queries, keys, values, heads, reads, lengths, first, y, tops)
    seen = y[looked] if looked.size else y
    out, by_o = linear(seen, layers[3])
    add(out, x[looked] if looked.size else x)
    return out, seen, (queries, keys, values, y, tops), (by_q, by_k, by_v, by_o)


@compiled
def attention_backward(grad, wanted, h, seen, between, inner, layers, gradients, layout):
    """Add to the layers' gradients what follows from grad, and return that by h if it is wanted.

    What is between the layers is empty if nothing before the last one is trained. Before h's
    comes the gradient by the last layer's input.
    """
    heads, reads, lengths, first, looked = layout
    queries, keys, values, y, tops = between
    none, below = np.empty((0, grad.shape[1]), np.float32), y.size > 0
    by_seen = linear_backward(grad, seen, inner[3], layers[3], gradients[3], below, none)
    if not below:
        return by_seen, by_seen
    by_y = by_seen
    if looked.size:
        by_y = np.zeros_like(y)
        for i in range(looked.size):
            by_y[looked[i]] += by_seen[i]
    for_q, for_k, for_v = np.zeros_like(y), np.zeros_like(y), np.zeros_like(y)
    attend_backward(
        *(queries, keys, values, heads, reads, lengths, first, y, tops, by_y),
        *(for_q, for_k, for_v),
    )
    for_h = linear_backward(for_v, h, inner[2], layers[2], gradients[2], wanted, none)
    for_h = linear_backward(for_k, h, inner[1], layers[1], gradients[1], wanted, for_h)
    for_h = linear_backward(for_q, h, inner[0], layers[0], gradients[0], wanted, for_h)
    return by_seen, for_h


@compiled
def mlp(x, h, layers, layout):
    """x + the MLP's output for h (n, C), and what `attention` returns with it."""
    z, by_1 = linear(h, layers[0])
    y, slope = np.empty_like(z), np.empty_like(z)
    gelu(z.reshape(-1), y.reshape(-1), slope.reshape(-1))
    out, by_2 = linear(y, layers[1])
    add(out, x)
    return out, y, (slope,), (by_1, by_2)


@compiled
def mlp_backward(grad, wanted, h, y, between, inner, layers, gradients, layout):
    """Like `attention_backward`, but before h's comes the gradient by the first layer's output."""
    slope, none = between[0], np.empty((0, grad.shape[1]), np.float32)
    below = slope.size > 0
    by_z = linear_backward(grad, y, inner[1], layers[1], gradients[1], below, none)
    if not below:
        return by_z, by_z
    for i in range(by_z.shape[0]):
        row, slopes = by_z[i], slope[i]
        for c in range(row.size):
            row[c] *= slopes[c]
    return by_z, linear_backward(by_z, h, inner[0], layers[0], gradients[0], wanted, none)
