"""One parameter's step of AdamW, and the square of a gradient's norm."""

import numpy as np

from minituner.compute.kernels.jit import LANES, compiled


@compiled
def squares(x):
    """The sum of the squares of x (n,), float64, in eight partial sums as in norm.py."""
    sums, total = np.zeros(LANES), 0.0
    for start in range(0, x.size, LANES):
        for lane in range(min(LANES, x.size - start)):
            value = np.float64(x[start + lane])
            sums[lane] += value * value
    for lane in range(LANES):
        total += sums[lane]
    return total


@compiled
def scale(x, factor):
    """Multiply x (n,) in place."""
    for i in range(x.size):
        x[i] *= factor


@compiled
def step(parameter, grad, first, second, rates):
    """Move a parameter and its two moments, all (n,), in place.

    rates are six float32: what decay leaves, 1 − β₁, β₂, 1 − β₂, the learning rate over the first
    moment's bias, one over the root of the second moment's, and eps.
    """
    left, new_1, old_2, new_2, rate, unbias, eps = rates
    for i in range(parameter.size):
        first[i] += (grad[i] - first[i]) * new_1
        second[i] = second[i] * old_2 + grad[i] * grad[i] * new_2
        parameter[i] = parameter[i] * left - rate * first[i] / (np.sqrt(second[i]) * unbias + eps)
