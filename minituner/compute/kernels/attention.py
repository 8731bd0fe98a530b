"""Causal attention over packed sequences, forward and backward.

Every sum is taken in the order written, with a fused multiply-add only where `tile` asks for it.
"""

from typing import NamedTuple

import numpy as np

from minituner.compute.kernels.jit import LANES, ONE, VECTOR, compiled
from minituner.compute.kernels.lanes import highest, soften, weigh
from minituner.compute.kernels.tiles import long_tile, long_turned_tile, rounded, transposed


class Sequences(NamedTuple):
    """Where the symbols of S sequences lie, as in `sequences.Packed`."""

    reads: np.ndarray  # (S, T)
    lengths: np.ndarray  # (S,)
    first: np.ndarray  # (S,)


@compiled
def column(c, width, whole):
    """Where the c-th number of a symbol lies once each head's `width` numbers take `whole`."""
    return c // width * whole + c % width


@compiled
def laid(x, rows, heads, begin, scale):
    """The rows of x (n, C) from `begin` on, times scale, (T, heads · width): a head behind another.

    Zeros before `begin`, behind the last row, and behind each head up to whole vectors.
    """
    width = x.shape[1] // heads
    whole = rounded(width)
    out = np.zeros((rounded(rows.size), heads * whole), np.float32)
    for t in range(begin, rows.size):
        row, new = x[rows[t]], out[t]
        if whole == width:
            for c in range(row.size):
                new[c] = row[c] * scale
        else:
            for c in range(row.size):
                new[column(c, width, whole)] = row[c] * scale
    return out


@compiled
def add_laid(x, rows, heads, begin, part, scale):
    """Add part (T, heads · width), times scale, to the rows of x (n, C) from `begin` on."""
    width = x.shape[1] // heads
    whole = rounded(width)
    for t in range(begin, rows.size):
        row, more = x[rows[t]], part[t]
        if whole == width:
            for c in range(row.size):
                row[c] += more[c] * scale
        else:
            for c in range(row.size):
                row[c] += more[column(c, width, whole)] * scale


@compiled
def score(keys, queries, first, last, begin, out):
    """Set out (T, T) to keys (T, C) × queries (C, T), on and above the diagonal, tile by tile.

    Of the C numbers those from `first` to `last`, a head's; of the queries those from `begin` on,
    which lie along the rows, so that nothing is summed within a vector.
    """
    for j in range(0, out.shape[0], LANES):
        for i in range(max(j // VECTOR * VECTOR, begin), out.shape[0], VECTOR):
            long_tile(out, j, i, keys, queries, first, last)


@compiled
def attend(q, k, v, heads, sequences):
    """Causal attention's output (n, C) and each query's highest score (n, heads).

    q, k and v are (n, C). Symbols of no sequence get zeros.
    """
    reads, lengths, first = sequences.reads, sequences.lengths, sequences.first
    y, tops = np.zeros(q.shape, np.float32), np.zeros((q.shape[0], heads), np.float32)
    scale = np.float32(1 / np.sqrt(q.shape[1] // heads))
    width = q.shape[1] // heads
    whole = rounded(width)
    for s in range(lengths.size):
        rows, begin = reads[s, : lengths[s]], first[s] // VECTOR * VECTOR
        keys, values = laid(k, rows, heads, 0, scale), laid(v, rows, heads, 0, ONE)
        queries = transposed(laid(q, rows, heads, 0, ONE))
        T = keys.shape[0]
        top, total = np.empty(T, np.float32), np.empty(T, np.float32)
        weights, out = np.empty((T, T), np.float32), np.empty(queries.shape, np.float32)
        for h in range(heads):
            columns = range(h * whole, (h + 1) * whole)
            score(keys, queries, columns.start, columns.start + width, begin, weights)
            top[:], total[:] = -np.float32(np.inf), np.float32(0)
            for i in range(begin, T, VECTOR):
                keys_seen = min(i + VECTOR, rows.size)
                highest(i, keys_seen, weights, top)
                soften(i, keys_seen, weights, top, total)
            weights[rows.size :] = np.float32(0)
            for d in range(columns.start, columns.stop, LANES):
                for i in range(begin, T, VECTOR):
                    long_turned_tile(out, d, i, values, weights, 0, i + VECTOR)
            for d in columns:
                line, totals = out[d, begin:], total[begin:]
                for t in range(line.size):
                    line[t] /= totals[t]
            for t in range(first[s], rows.size):
                tops[rows[t], h] = top[t]
        add_laid(y, rows, heads, first[s], transposed(out), ONE)
    return y, tops


@compiled
def attend_backward(q, k, v, heads, sequences, y, tops, grad):
    """The gradients by q, k and v, all (n, C); grad is that by y."""
    reads, lengths, first = sequences.reads, sequences.lengths, sequences.first
    for_q, for_k = np.zeros(q.shape, np.float32), np.zeros(q.shape, np.float32)
    for_v = np.zeros(q.shape, np.float32)
    scale = np.float32(1 / np.sqrt(q.shape[1] // heads))
    width = q.shape[1] // heads
    whole = rounded(width)
    for s in range(lengths.size):
        rows, begin = reads[s, : lengths[s]], first[s] // VECTOR * VECTOR
        keys, values = laid(k, rows, heads, 0, scale), laid(v, rows, heads, 0, ONE)
        queries, grads = laid(q, rows, heads, 0, ONE), laid(grad, rows, heads, first[s], ONE)
        turned_queries, turned_grads = transposed(queries), transposed(grads)
        outputs = transposed(laid(y, rows, heads, 0, ONE))
        T = keys.shape[0]
        top, total, mean = np.zeros(T, np.float32), np.empty(T, np.float32), np.empty(T, np.float32)
        weights, by_score = np.empty((T, T), np.float32), np.empty((T, T), np.float32)
        by_query = np.zeros(outputs.shape, np.float32)
        by_key, by_value = np.empty(grads.shape, np.float32), np.empty(grads.shape, np.float32)
        for h in range(heads):
            columns = range(h * whole, (h + 1) * whole)
            mean[:] = np.float32(0)
            for d in columns:
                by, out = turned_grads[d], outputs[d]
                for t in range(T):
                    mean[t] += by[t] * out[t]
            for t in range(rows.size):
                top[t] = tops[rows[t], h]
            score(keys, turned_queries, columns.start, columns.start + width, begin, weights)
            score(values, turned_grads, columns.start, columns.start + width, begin, by_score)
            total[:] = np.float32(0)
            for i in range(begin, T, VECTOR):
                keys_seen = min(i + VECTOR, rows.size)
                soften(i, keys_seen, weights, top, total)
                weigh(i, keys_seen, weights, by_score, total, mean)
            weights[rows.size :] = by_score[rows.size :] = np.float32(0)
            for d in range(columns.start, columns.stop, LANES):
                for t in range(begin, T, VECTOR):
                    long_turned_tile(by_query, d, t, keys, by_score, 0, t + VECTOR)
            for d in range(columns.start, columns.stop, VECTOR):
                for t in range(0, T, LANES):
                    long_tile(by_key, t, d, by_score, queries, max(t, begin), T)
                    long_tile(by_value, t, d, weights, grads, max(t, begin), T)
        add_laid(for_q, rows, heads, 0, transposed(by_query), ONE)
        add_laid(for_k, rows, heads, 0, by_key, scale)
        add_laid(for_v, rows, heads, 0, by_value, ONE)
    return for_q, for_k, for_v
