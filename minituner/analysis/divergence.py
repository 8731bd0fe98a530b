"""How far what one model expects is from what another does."""

import math

import numpy as np

from minituner.foundation import numerics


def kl_divergence(first: np.ndarray, second: np.ndarray) -> float:
    """KL(first ‖ second) of two models' logits, both (N, V), in nats a symbol: the mean over N."""
    first, second = (x.astype(np.float64) for x in (first, second))
    first, second = (logits - logits.max(axis=-1, keepdims=True) for logits in (first, second))
    weights, others = numerics.exponential(first), numerics.exponential(second)
    sums, other_sums = weights.sum(axis=-1), others.sum(axis=-1)
    apart = (weights * (first - second)).sum(axis=-1) / sums
    # math's logarithm: the last bits of numpy's differ from one CPU to another.
    by_symbol = [
        float(mean) - math.log(one) + math.log(other)
        for mean, one, other in zip(apart, sums, other_sums, strict=True)
    ]
    return math.fsum(by_symbol) / len(by_symbol)
