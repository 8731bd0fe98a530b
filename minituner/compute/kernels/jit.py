"""How the loops are compiled: by numba, for the CPU there is, and kept on disk, an entry a CPU.

They round one IEEE operation at a time, as the same lines do in the Python interpreter: no fused
multiply-add but where one is asked for, and no sum reordered or taken inside a vector. So the width
of a CPU's vectors decides how long they take, and no byte.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from numba.core import config, event
from numba.core.codegen import get_host_cpu_features

ONE = np.float32(1)
LANES = 8  # partial sums of a row everywhere; float32 numbers in a vector of x86-64-v3
HERE = Path(__file__).parent


def _folder() -> str:
    """Where machine code is kept: where the user says, beside these files, or in the user's cache.

    Named by these files' content: numba itself looks at one file at a time, and would go on using
    a loop whose callee in another file changed.
    """
    content = b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))
    beside = HERE / "__pycache__" if os.access(HERE, os.W_OK) else "~/.cache/minituner"
    parent = Path(config.CACHE_DIR or beside).expanduser()
    return str(parent / hashlib.sha256(content).hexdigest()[:16])


FOLDER = _folder()
# What numba compiles for: the user's choice, or what the CPU has.
FEATURES = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
AVX2, AVX512 = (name in FEATURES.split(",") for name in ("+avx2", "+avx512f"))
VECTOR = 16 if AVX512 else LANES  # float32 numbers in its vectors
# None is called from C, so no way in from there is compiled.
HOW = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def compiled(function: Callable) -> Callable:
    """The function as machine code, kept on disk where there is somewhere to write."""
    users, config.CACHE_DIR = config.CACHE_DIR, FOLDER
    try:
        return numba.njit(cache=True, **HOW)(function)
    except RuntimeError:  # nowhere to write
        return numba.njit(**HOW)(function)
    finally:
        config.CACHE_DIR = users


class _Word(event.Listener):
    """Says on stderr, once, that compiling has begun, since it takes a while."""

    said = False

    def on_start(self, event: event.Event) -> None:
        """Called when a function begins to be compiled, not when it is read from disk."""
        if not self.said:
            print("minituner: compiling for this machine, once …", file=sys.stderr)
        self.said = True

    def on_end(self, event: event.Event) -> None:
        """Nothing is said at the end."""


event.register("numba:compile", _Word())
