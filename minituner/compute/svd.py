"""The singular values of a low-rank product, equal to the last bit on every CPU.

LAPACK's depend on the CPU in their last digits, since BLAS adds up in another order on each.
"""

import numpy as np

SWEEPS = 40  # of Jacobi rotations, at most; about eight are needed
EXACT = 1e-14  # cosine between two columns below which they count as orthogonal


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Matrix product added up in order: BLAS would add in another order on another CPU."""
    return (left[:, :, None] * right[None]).sum(axis=1)


def orthonormal_rows(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L (r, r), lower triangular, and Q (r, n) with orthonormal rows, such that L Q = a.

    Modified Gram-Schmidt; a row that depends on those above it gets a zero row in Q.
    """
    left_over, lower, rows = a.copy(), np.zeros((len(a), len(a))), np.zeros_like(a)
    for i in range(len(a)):
        lower[i, i] = np.sqrt((left_over[i] * left_over[i]).sum())
        if lower[i, i] > EXACT * np.sqrt((a[i] * a[i]).sum()):
            rows[i] = left_over[i] / lower[i, i]
        lower[i + 1 :, i] = (left_over[i + 1 :] * rows[i]).sum(axis=1)
        left_over[i + 1 :] -= lower[i + 1 :, i, None] * rows[i]
    return lower, rows


def decompose(b: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The singular value decomposition of b a, equal to the last bit on every CPU.

    One-sided Jacobi (Hestenes 1958): rotate pairs of columns until all are orthogonal; their norms
    are then the singular values. A sweep meets every pair once, r/2 disjoint pairs at a time.

    Args:
        b: (m, r).
        a: (r, n).

    Returns:
        Left vectors times singular values (m, r), singular values (r,), descending, and right
        vectors (r, n); the first times the last is b a.
    """
    r = b.shape[1]
    lower, right = orthonormal_rows(a.astype(np.float64))
    left = product(b.astype(np.float64), lower)
    if r % 2:  # pairs need an even number
        left, right = np.pad(left, ((0, 0), (0, 1))), np.pad(right, ((0, 1), (0, 0)))
    order = np.arange(left.shape[1])
    half = len(order) // 2
    for _ in range(SWEEPS):
        worst = 0.0
        for _ in range(max(1, len(order) - 1)):
            p, q = order[:half], order[half:][::-1]
            x, y = left[:, p], left[:, q]
            xx, yy, xy = (x * x).sum(0), (y * y).sum(0), (x * y).sum(0)
            apart = np.abs(xy) > EXACT * np.sqrt(xx * yy)
            worst = max(worst, float(apart.any()))
            zeta = (yy - xx) / np.where(apart, 2 * xy, 1.0)
            sign = np.where(zeta < 0, -1.0, 1.0)
            t = np.where(apart, sign / (np.abs(zeta) + np.sqrt(1 + zeta * zeta)), 0.0)
            c = 1 / np.sqrt(1 + t * t)
            s = c * t
            left[:, p], left[:, q] = c * x - s * y, s * x + c * y
            x, y = right[p], right[q]
            right[p], right[q] = c[:, None] * x - s[:, None] * y, s[:, None] * x + c[:, None] * y
            order = np.concatenate([order[:1], order[-1:], order[1:-1]])
        if not worst:
            break
    values = np.sqrt((left * left).sum(axis=0))
    best = np.argsort(-values, kind="stable")[:r]
    return left[:, best], values[best], right[best]
