"""Arithmetic whose last bit no library decides: each is a fixed sequence of IEEE operations.

numpy's exponential differs from one CPU to another, and BLAS adds up in another order on each.
"""

import numpy as np

LOG2_E = 1.4426950408889634
LN_2, LN_2_REST = 0.693147180369123816490, 1.90821492927058770002e-10  # the first in 33 bits
LARGEST, LEAST = 709.0, -708.0  # between which e^x is a normal number


def exponential(x: np.ndarray | float) -> np.ndarray:
    """e^x, float64, to about two units in the last place; infinite above 709 and 0 below −708.

    e^x = 2ⁿ e^r with |r| ≤ ln 2 / 2, and e^r by its series to the 14th term.
    """
    x = np.asarray(x, dtype=np.float64)
    within = np.clip(x, LEAST, LARGEST)  # NaN stays NaN
    n = np.rint(np.nan_to_num(within) * LOG2_E)
    rest = within - n * LN_2 - n * LN_2_REST
    series = np.ones_like(rest)
    for k in range(14, 0, -1):
        series = series * rest / k + 1.0
    power = np.ldexp(series, n.astype(np.int32))
    return np.where(x > LARGEST, np.inf, np.where(x < LEAST, 0.0, power))


def weighted_sums(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """values (m, n) times weights (k, n), added up over n in order: (m, k)."""
    total = np.zeros((len(values), len(weights)))
    part = np.empty_like(total)
    for weight, value in zip(np.ascontiguousarray(weights.T), values.T, strict=True):
        total += np.multiply(value[:, None], weight[None], out=part)
    return total
