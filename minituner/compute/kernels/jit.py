"""How the loops are compiled: by numba, kept on disk, for the same CPU on every machine.

They round one IEEE operation at a time, as the same lines do in the Python interpreter: no fused
multiply-add but where one is asked for, and no reordered sum (see foundation/environment.py).
"""

from collections.abc import Callable

import numba
import numpy as np

ONE = np.float32(1)


def compiled(function: Callable) -> Callable:
    """The function as machine code, kept beside this file or else in the user's cache."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # nowhere to write
        return numba.njit(nogil=True, error_model="numpy")(function)
