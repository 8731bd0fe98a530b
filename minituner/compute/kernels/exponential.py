"""e^x and ln x by series, since those of a library differ between CPUs and versions."""

import math

import numpy as np

from minituner.compute.kernels.jit import ONE, compiled

# Cephes' expf: ln 2 in two parts, the first exact in few bits, and e^r − 1 − r for |r| ≤ ln 2 / 2.
LOG2_E, LN_2, LN_2_REST = map(np.float32, (1.44269504088896341, 0.693359375, -2.12194440e-4))
SERIES = 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5
P0, P1, P2, P3, P4, P5 = SERIES = tuple(map(np.float32, SERIES))
LOWEST, HALF = np.float32(-87), np.float32(0.5)  # e^−87 is near the least normal number


@compiled
def exponential(x):
    """e^x for x ≤ 0, float32, to 2 units in the last place, at least e^−87."""
    x = LOWEST if x < LOWEST else x
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN_2 - n * LN_2_REST
    series = ((((P0 * r + P1) * r + P2) * r + P3) * r + P4) * r + P5
    power = np.int32((np.int32(n) + 127) << 23).view(np.float32)
    return (series * (r * r) + r + ONE) * power


@compiled
def logarithm(x):
    """ln x for 1 ≤ x < ∞, float64, to about 1e-15.

    ln x = n ln 2 + 2 artanh s for s = (m − 1) / (m + 1), with x = 2ⁿ m and √½ ≤ m < √2.
    """
    n = 0.0
    while x >= math.sqrt(2):
        x, n = x * 0.5, n + 1.0
    s = (x - 1.0) / (x + 1.0)
    square, series = s * s, 0.0
    for k in range(23, 0, -2):
        series = series * square + 1.0 / k
    return n * 0.6931471805599453 + 2.0 * s * series
