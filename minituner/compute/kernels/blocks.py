"""A transformer block, forward and backward, each as one compiled call.

x is (n, C); behind attention only the L symbols `looked` at go on, or all where it is empty. What
the forward call returns and no gradient needs is dropped by the caller, and comes back to the
backward call as an array without rows: so that call knows what is asked for.
"""

from typing import NamedTuple

import numpy as np

from minituner.compute.kernels.attention import attend, attend_backward
from minituner.compute.kernels.gelu import gelu
from minituner.compute.kernels.jit import compiled
from minituner.compute.kernels.linears import add, linear, linear_backward
from minituner.compute.kernels.norm import norm, norm_backward


class Norm(NamedTuple):
    """A LayerNorm's numbers, or its gradients (with eps 0)."""

    weight: np.ndarray  # (C,)
    bias: np.ndarray  # (C,)
    eps: np.float32


class Block(NamedTuple):
    """A block's numbers, or its gradients: of the norms `Norm`, of the Linears `linears.Layer`."""

    ln1: Norm
    q_proj: tuple
    k_proj: tuple
    v_proj: tuple
    o_proj: tuple
    ln2: Norm
    fc1: tuple
    fc2: tuple


class Activations(NamedTuple):
    """What a block's backward call reads. inner_… is A x of a layer, (n, r) or (L, r)."""

    x: np.ndarray  # (n, C)
    mean1: np.ndarray  # (n,), as rstd1: of ln1
    rstd1: np.ndarray
    h: np.ndarray  # (n, C), ln1(x)
    q: np.ndarray  # (n, C), as k, v and y
    k: np.ndarray
    v: np.ndarray
    y: np.ndarray  # attention's output
    tops: np.ndarray  # (n, heads), see `attend`
    seen: np.ndarray  # (L, C), y at the symbols looked at
    middle: np.ndarray  # (L, C), x behind attention
    mean2: np.ndarray  # (L,), as rstd2: of ln2
    rstd2: np.ndarray
    h2: np.ndarray  # (L, C), ln2(middle)
    slope: np.ndarray  # (L, d_ff), GELU's
    hidden: np.ndarray  # (L, d_ff), fc2's input
    inner_q: np.ndarray
    inner_k: np.ndarray
    inner_v: np.ndarray
    inner_o: np.ndarray
    inner_1: np.ndarray
    inner_2: np.ndarray


@compiled
def gathered(rows, looked):
    """Those of rows (n, C) that `looked` (L,) names; rows itself if it is empty."""
    if looked.size == 0:
        return rows
    out = np.empty((looked.size, rows.shape[1]), np.float32)
    for i in range(looked.size):
        row, new = rows[looked[i]], out[i]
        for c in range(row.size):
            new[c] = row[c]
    return out


@compiled
def forward(x, block, heads, sequences, looked):
    """The block's output (L, C) and its activations."""
    h, mean1, rstd1 = norm(x, block.ln1.weight, block.ln1.bias, block.ln1.eps)
    q, inner_q = linear(h, block.q_proj)
    k, inner_k = linear(h, block.k_proj)
    v, inner_v = linear(h, block.v_proj)
    y, tops = attend(q, k, v, heads, sequences)
    seen = gathered(y, looked)
    middle, inner_o = linear(seen, block.o_proj)
    add(middle, gathered(x, looked))
    h2, mean2, rstd2 = norm(middle, block.ln2.weight, block.ln2.bias, block.ln2.eps)
    z, inner_1 = linear(h2, block.fc1)
    hidden, slope = np.empty(z.shape, np.float32), np.empty(z.shape, np.float32)
    gelu(z.reshape(-1), hidden.reshape(-1), slope.reshape(-1))
    out, inner_2 = linear(hidden, block.fc2)
    add(out, middle)
    return out, Activations(
        x, mean1, rstd1, h, q, k, v, y, tops, seen, middle, mean2, rstd2, h2, slope, hidden,
        inner_q, inner_k, inner_v, inner_o, inner_1, inner_2,
    )  # fmt: skip


@compiled
def scattered(rows, looked, n):
    """(n, C) with rows (L, C) added where `looked` says; rows itself if it is empty."""
    if looked.size == 0:
        return rows
    out = np.zeros((n, rows.shape[1]), np.float32)
    for i in range(looked.size):
        row, more = out[looked[i]], rows[i]
        for c in range(row.size):
            row[c] += more[c]
    return out


@compiled
def backward(grad, kept, block, gradients, heads, sequences, looked):
    """Add to the gradients for grad (L, C) by the output; the gradient by x (n, C), if x is kept.

    grad is overwritten.
    """
    none, nowhere = np.empty((0, grad.shape[1]), np.float32), np.empty((0, 0), np.float32)
    below = kept.slope.size > 0
    by_z = linear_backward(
        grad, kept.hidden, kept.inner_2, block.fc2, gradients.fc2, below, nowhere
    )
    if not below:
        return none
    for i in range(by_z.shape[0]):
        row, slopes = by_z[i], kept.slope[i]
        for c in range(row.size):
            row[c] *= slopes[c]
    below = kept.middle.size > 0
    by_h = linear_backward(by_z, kept.h2, kept.inner_1, block.fc1, gradients.fc1, below, none)
    if not below:
        return none
    norm_backward(
        by_h, kept.middle, kept.mean2, kept.rstd2, block.ln2.weight,
        gradients.ln2.weight, gradients.ln2.bias, grad,
    )  # fmt: skip
    below = kept.y.size > 0
    by_seen = linear_backward(
        grad, kept.seen, kept.inner_o, block.o_proj, gradients.o_proj, below, none
    )
    if not below:
        return none
    by_q, by_k, by_v = attend_backward(
        kept.q, kept.k, kept.v, heads, sequences, kept.y, kept.tops,
        scattered(by_seen, looked, kept.y.shape[0]),
    )  # fmt: skip
    below = kept.x.size > 0
    by_h = linear_backward(by_v, kept.h, kept.inner_v, block.v_proj, gradients.v_proj, below, none)
    by_h = linear_backward(by_k, kept.h, kept.inner_k, block.k_proj, gradients.k_proj, below, by_h)
    by_h = linear_backward(by_q, kept.h, kept.inner_q, block.q_proj, gradients.q_proj, below, by_h)
    if not below:
        return none
    by_x = scattered(grad, looked, kept.x.shape[0])
    norm_backward(
        by_h, kept.x, kept.mean1, kept.rstd1, block.ln1.weight,
        gradients.ln1.weight, gradients.ln1.bias, by_x,
    )  # fmt: skip
    return by_x
