"""The pinned way of computing: one thread, fixed kernels and named generators.

The parallelism is between jobs, not inside them, so a result never depends on the number of cores.
"""

import torch

from minituner.rng import derive_seed


def pin() -> None:
    """Compute on one thread with deterministic kernels; call it before the first tensor is made."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A torch generator for one purpose, see `minituner.rng`."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
