"""The pinned way of computing: one thread, fixed kernels and named generators.

The parallelism is between jobs, not inside them, so a result never depends on the number of cores.
"""

import torch

from minituner.rng import derive_seed


def pin() -> None:
    """Compute on one thread; call it before the first tensor is made.

    On one thread torch's CPU kernels add in a fixed order, so `use_deterministic_algorithms` would
    forbid nothing that happens here, and it costs a second of imports a process.
    """
    torch.set_num_threads(1)


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A torch generator for one purpose, see `minituner.rng`."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
