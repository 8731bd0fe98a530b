"""What lies before the blocks and behind them: embeddings, and the loss at the logits."""

import numpy as np

from minituner.compute.kernels.exponential import exponential, logarithm
from minituner.compute.kernels.jit import compiled


@compiled
def embed(tokens, positions, ids, places):
    """tokens[ids] + positions[places], (n, C)."""
    out = np.empty((ids.size, tokens.shape[1]), np.float32)
    for i in range(ids.size):
        row, token, position = out[i], tokens[ids[i]], positions[places[i]]
        for c in range(row.size):
            row[c] = token[c] + position[c]
    return out


@compiled
def add_rows(grad, indices, out):
    """Add the rows of grad (n, C), in order, to those of out that `indices` (n,) names."""
    for i in range(indices.size):
        row, more = out[indices[i]], grad[i]
        for c in range(row.size):
            row[c] += more[c]


@compiled
def soften(row, out):
    """Set out to softmax(row), both (V,); the logarithm of what row's exponentials add up to."""
    top, total = row[0], np.float32(0)
    for value in row:
        top = value if value > top or value != value else top
    for v in range(row.size):
        out[v] = exponential(row[v] - top)
        total += out[v]
    for v in range(row.size):
        out[v] /= total
    return np.float64(top) + logarithm(np.float64(total))


@compiled
def cross_entropy(logits, targets, ignored):
    """The mean of −log softmax(logits)[target] and softmax(logits) (L, V), float32 both.

    Added up in double precision, a target after the other; those `ignored` do not count.
    """
    probabilities, total, counted = np.empty(logits.shape, np.float32), 0.0, 0
    for i in range(targets.size):
        log_total = soften(logits[i], probabilities[i])
        if targets[i] != ignored:
            total += log_total - np.float64(logits[i, targets[i]])
            counted += 1
    return np.float32(total / counted), probabilities, np.float32(1 / counted)


@compiled
def cross_entropy_backward(probabilities, targets, ignored, share):
    """The gradient by the logits (L, V) where each target that counts has this share of it."""
    out = np.zeros(probabilities.shape, np.float32)
    for i in range(targets.size):
        if targets[i] != ignored:
            row, by = out[i], probabilities[i]
            for v in range(row.size):
                row[v] = by[v] * share
            row[targets[i]] = (by[targets[i]] - np.float32(1)) * share
    return out


@compiled
def choices(logits, wanted):
    """log softmax(logits)[wanted], float64 (n,), and whether no logit is higher, the first of them.

    logits is (n, V), wanted (n,).
    """
    log_probs, likeliest = np.empty(wanted.size), np.empty(wanted.size, np.bool_)
    room = np.empty(logits.shape[1], np.float32)
    for i in range(wanted.size):
        log_total = soften(logits[i], room)
        log_probs[i] = np.float64(logits[i, wanted[i]]) - log_total
        best = 0
        for v in range(room.size):
            best = v if logits[i, v] > logits[i, best] else best
        likeliest[i] = best == wanted[i]
    return log_probs, likeliest
