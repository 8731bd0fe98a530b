"""GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415) and its slope."""

import numpy as np

from minituner.compute.kernels.exponential import HALF, exponential
from minituner.compute.kernels.jit import ONE, compiled

# The normal distribution's tail, Abramowitz & Stegun (1964), 7.1.26: to 7.5 × 10⁻⁸.
TERMS = 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429
A1, A2, A3, A4, A5 = (np.float32(term / 2) for term in TERMS)
STEEPNESS, DENSITY = np.float32(0.3275911 / np.sqrt(2)), np.float32(1 / np.sqrt(2 * np.pi))


@compiled
def gelu(x, y, slope):
    """Set y and slope to x Φ(x) and its derivative Φ(x) + x φ(x), all (n,)."""
    for i in range(x.size):
        t = ONE / (ONE + STEEPNESS * abs(x[i]))
        bell = exponential(-HALF * x[i] * x[i])
        tail = ((((A5 * t + A4) * t + A3) * t + A2) * t + A1) * t * bell
        below = tail if x[i] < 0 else ONE - tail
        y[i] = x[i] * below
        slope[i] = below + x[i] * (DENSITY * bell)
