"""One parameter's step of AdamW, and the square of a gradient's norm."""

from typing import NamedTuple

import numpy as np

from minituner.compute.kernels.jit import LANES, compiled


class Rates(NamedTuple):
    """What a step multiplies by."""

    left: np.float32  # of the parameter by decay
    new_1: np.float32  # 1 − β₁
    old_2: np.float32  # β₂
    new_2: np.float32  # 1 − β₂
    rate: np.float32  # the learning rate over the first moment's bias
    unbias: np.float32  # one over the root of the second moment's bias
    eps: np.float32


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
    """Move a parameter and its two moments, all (n,), in place."""
    left, rate, eps = rates.left, rates.rate, rates.eps
    for i in range(parameter.size):
        first[i] += (grad[i] - first[i]) * rates.new_1
        second[i] = second[i] * rates.old_2 + grad[i] * grad[i] * rates.new_2
        root = np.sqrt(second[i]) * rates.unbias
        parameter[i] = parameter[i] * left - rate * first[i] / (root + eps)
