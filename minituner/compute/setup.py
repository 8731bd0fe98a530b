"""The way of computing: one thread, and named generators.

The parallelism is between jobs, and between the shards of a batch, which `train.py` adds up in
order. So a result never depends on the number of cores.
"""

import ctypes
import functools
import sys

import torch

from minituner.foundation import environment
from minituner.foundation.seeds import derive_seed

# glibc's numbers for mallopt, and the bytes set for them.
KEPT_MEMORY = {"M_TRIM_THRESHOLD": (-1, 1 << 28), "M_MMAP_THRESHOLD": (-3, 1 << 25)}


@functools.cache
def pin() -> None:
    """Compute on one thread, and say so on stderr if the bytes may not be those of other machines.

    On one thread torch's CPU kernels add in a fixed order, so `use_deterministic_algorithms` would
    forbid nothing that happens here, and it costs a second of imports a process.
    """
    torch.set_num_threads(1)
    _keep_memory()
    for departure in environment.departures():
        print(f"minituner: not reproducible byte for byte here: {departure}", file=sys.stderr)


def _keep_memory() -> None:
    """Have glibc keep what a training step frees for the next step.

    Else it goes back to the kernel, and comes again page by page: a fifth of the step's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc alone has it
    for name, value in KEPT_MEMORY.values() if mallopt else ():
        mallopt(name, value)


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A torch generator for one purpose, see `foundation.seeds`."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def drawn_key() -> int:
    """What decides dropout's zeros, drawn from torch's global generator, as dropout's own are."""
    return int(torch.randint(1 << 62, ()))
