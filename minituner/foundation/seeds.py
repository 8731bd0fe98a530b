"""Named random generators: every draw belongs to a seed and a purpose, so nothing depends on order.

Two generators with different purposes are independent even for the same seed, which is what keeps
e.g. the adapter's initialisation equal whether or not the batches were shuffled before it.
"""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: object) -> int:
    """A 63-bit seed from `seed` and a purpose such as `("adapter", "init")`, by SHA-256.

    Python's own `hash` is salted per process and would differ from run to run.
    """
    name = "\x1f".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A numpy generator for one purpose."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *purpose)))


def uniform(seed: int, *purpose: object) -> float:
    """A number in [0, 1) that belongs to a seed and a purpose."""
    return (derive_seed(seed, *purpose) >> 10) / 2**53
