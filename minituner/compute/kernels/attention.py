"""Causal attention over packed sequences, forward and backward.

Every sum is taken in the order written, with a fused multiply-add only where `tile` asks for it.
"""

from typing import NamedTuple

import numpy as np

from minituner.compute.kernels.exponential import exponential
from minituner.compute.kernels.jit import LANES, ONE, compiled
from minituner.compute.kernels.tiles import rounded, tile, transposed, turned_tile


class Sequences(NamedTuple):
    """Where the symbols of S sequences lie, as in `sequences.Packed`."""

    reads: np.ndarray  # (S, T)
    lengths: np.ndarray  # (S,)
    first: np.ndarray  # (S,)


@compiled
def head(x, rows, heads, h, scale):
    """One head of the rows of x (n, C), times scale: (T, width), zeros up to whole vectors."""
    width = x.shape[1] // heads
    out = np.zeros((rounded(rows.size), rounded(width)), np.float32)
    for t in range(rows.size):
        row = x[rows[t], h * width : (h + 1) * width]
        for d in range(width):
            out[t, d] = row[d] * scale
    return out


@compiled
def turned_head(x, rows, heads, h):
    """One head of the rows of x (n, C) as columns, (width, T)."""
    width = x.shape[1] // heads
    out = np.zeros((rounded(width), rounded(rows.size)), np.float32)
    for t in range(rows.size):
        row = x[rows[t], h * width : (h + 1) * width]
        for d in range(width):
            out[d, t] = row[d]
    return out


@compiled
def add_head(x, rows, heads, h, part, scale):
    """Add part (T, width), times scale, to one head of the rows of x (n, C)."""
    width = x.shape[1] // heads
    for t in range(rows.size):
        row = x[rows[t], h * width : (h + 1) * width]
        for d in range(width):
            row[d] += part[t, d] * scale


@compiled
def score(keys, queries, begin):
    """keys (T, width) × queries (width, T) on and above the diagonal, tile by tile, from `begin`.

    Queries lie along the rows, so that nothing is summed within a vector.
    """
    T = keys.shape[0]
    out = np.empty((T, T), np.float32)
    for j in range(0, T, LANES):
        for i in range(max(j, begin), T, LANES):
            tile(out, j, i, keys, queries, 0, keys.shape[1])
    return out


@compiled
def soften(scores, T, begin, top, total):
    """Set scores to e^(scores − top), 0 where the key comes later, and total to the columns' sums.

    Not yet divided by the sums, so each column of T keys takes one division.
    """
    total[:] = np.float32(0)
    for j in range(scores.shape[0]):
        start = max(j // LANES * LANES, begin)  # whole vectors; what is before j is set to 0 after
        row, tops, totals = scores[j, start:], top[start:], total[start:]
        if j >= T:
            row[:] = np.float32(0)
        for i in range(row.size if j < T else 0):
            row[i] = exponential(row[i] - tops[i])
        row[: max(j - start, 0)] = np.float32(0)
        for i in range(row.size):
            totals[i] += row[i]


@compiled
def attend(q, k, v, heads, sequences):
    """Causal attention's output (n, C) and each query's highest score (n, heads).

    q, k and v are (n, C). Symbols of no sequence get zeros.
    """
    reads, lengths, first = sequences.reads, sequences.lengths, sequences.first
    y, tops = np.zeros(q.shape, np.float32), np.zeros((q.shape[0], heads), np.float32)
    scale = np.float32(1 / np.sqrt(q.shape[1] // heads))
    for s in range(lengths.size):
        rows, begin = reads[s, : lengths[s]], first[s] // LANES * LANES
        T = rounded(rows.size)
        top, total = np.empty(T, np.float32), np.empty(T, np.float32)
        for h in range(heads):
            keys, values = head(k, rows, heads, h, scale), head(v, rows, heads, h, ONE)
            weights = score(keys, turned_head(q, rows, heads, h), begin)
            for i in range(T):
                top[i] = weights[0, i]
            for j in range(1, rows.size):
                for i in range(max(j, begin), T):
                    top[i] = top[i] if top[i] > weights[j, i] else weights[j, i]
            soften(weights, rows.size, begin, top, total)
            out = np.empty((values.shape[1], T), np.float32)
            for d in range(0, out.shape[0], LANES):
                for i in range(begin, T, LANES):
                    turned_tile(out, d, i, values, weights, 0, i + LANES)
            width = y.shape[1] // heads
            for d in range(width):
                line, totals = out[d, begin:], total[begin:]
                for t in range(line.size):
                    line[t] /= totals[t]
            for t in range(first[s], rows.size):
                tops[rows[t], h] = top[t]
                row = y[rows[t], h * width : (h + 1) * width]
                for d in range(width):
                    row[d] = out[d, t]
    return y, tops


@compiled
def attend_backward(q, k, v, heads, sequences, y, tops, grad):
    """The gradients by q, k and v, all (n, C); grad is that by y."""
    reads, lengths, first = sequences.reads, sequences.lengths, sequences.first
    for_q, for_k = np.zeros(q.shape, np.float32), np.zeros(q.shape, np.float32)
    for_v = np.zeros(q.shape, np.float32)
    scale = np.float32(1 / np.sqrt(q.shape[1] // heads))
    for s in range(lengths.size):
        rows, begin = reads[s, : lengths[s]], first[s] // LANES * LANES
        T = rounded(rows.size)
        top, total = np.zeros(T, np.float32), np.empty(T, np.float32)
        mean = np.empty(T, np.float32)
        for h in range(heads):
            keys, queries = head(k, rows, heads, h, scale), head(q, rows, heads, h, ONE)
            grads, outputs = head(grad, rows, heads, h, ONE), turned_head(y, rows, heads, h)
            turned_grads = turned_head(grad, rows, heads, h)
            grads[: first[s]] = np.float32(0)
            turned_grads[:, : first[s]] = np.float32(0)
            mean[:] = np.float32(0)
            for d in range(outputs.shape[0]):
                by, out = turned_grads[d], outputs[d]
                for t in range(T):
                    mean[t] += by[t] * out[t]
            for t in range(rows.size):
                top[t] = tops[rows[t], h]
            weights = score(keys, turned_head(q, rows, heads, h), begin)
            soften(weights, rows.size, begin, top, total)
            by_score = score(head(v, rows, heads, h, ONE), turned_grads, begin)
            for j in range(T):
                start = max(j // LANES * LANES, begin)
                row, by, totals = weights[j, start:], by_score[j, start:], total[start:]
                means = mean[start:]
                for i in range(row.size):
                    row[i] /= totals[i]
                    by[i] = row[i] * (by[i] - means[i])
            by_query = np.zeros((keys.shape[1], T), np.float32)
            by_key, by_value = np.empty(grads.shape, np.float32), np.empty(grads.shape, np.float32)
            for d in range(0, grads.shape[1], LANES):
                for t in range(begin, T, LANES):
                    turned_tile(by_query, d, t, keys, by_score, 0, t + LANES)
                for t in range(0, T, LANES):
                    tile(by_key, t, d, by_score, queries, max(t, begin), T)
                    tile(by_value, t, d, weights, grads, max(t, begin), T)
            add_head(for_q, rows, heads, h, transposed(by_query), ONE)
            add_head(for_k, rows, heads, h, by_key, scale)
            add_head(for_v, rows, heads, h, by_value, ONE)
    return for_q, for_k, for_v
