"""The memory of one real LoRA or QLoRA step at growing shapes: the process's peak beside a formula.

One process a point, since a process's peak never falls again.
"""

import ctypes
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.memory_scaling.decoder import Decoder
from minituner import compute
from minituner.budget import formula, measure, shapes
from minituner.budget.shapes import Shape
from minituner.foundation.units import human

BATCH, TOKENS, RANK = 1, 128, 8
MARGIN = 1 << 30  # bytes that a point must leave free


def _kilobytes(path: str, field: str) -> int | None:
    """A field of /proc, in bytes; None where there is none (not Linux)."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field)), None)


def peak_resident() -> int:
    """Bytes of memory that this process has held at its fullest."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = _kilobytes("/proc/self/status", "VmHWM")
    return peak or unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def available() -> int:
    """Bytes that the machine can still give, less a margin; no limit where it doesn't say."""
    return (_kilobytes("/proc/meminfo", "MemAvailable") or sys.maxsize) - MARGIN


def return_freed_memory() -> None:
    """Have glibc give every freed block of 128 KiB or more back at once.

    Left alone it raises that bound with each large block freed, up to 32 MiB, and serves the next
    from a heap that packed weights then tear holes in: a third more memory while quantizing.
    """
    try:
        ctypes.CDLL(None).mallopt(-3, 128 << 10)  # M_MMAP_THRESHOLD
    except (AttributeError, OSError, TypeError):
        pass  # another C library


def regime_of(shape: Shape, method: str) -> formula.Regime:
    """What is measured: an adapter of rank 8 on all Linears of a block."""
    return formula.Regime(method, RANK, tuple(shape.linears()))


def transient_bytes(shape: Shape, method: str, B: int, T: int) -> int:
    """What is held for a moment at the fullest one, beyond the four buckets.

    At the loss: the logits, their gradient and its copy. With QLoRA, if that is more: one Linear's
    float weight, while it is quantized or in use.
    """
    logits = 3 * formula.FLOAT * B * T * shape.vocab_size
    if method != "qlora":
        return logits
    largest = max(out * into for out, into in shape.linears().values())
    return max(logits, formula.FLOAT * largest + largest // 2)


def batch(shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids and targets, (B, T) int64 each."""
    T = min(TOKENS, shape.positions or TOKENS)
    draw = compute.generator(1, "scaling")
    drawn = torch.randint(shape.vocab_size, (BATCH, T + 1), generator=draw)
    return drawn[:, :-1].clone(), drawn[:, 1:].clone()


def take_step(name: str, method: str, free: int | None = None) -> dict[str, Any]:
    """Take one real step in this process; returns what it held.

    Args:
        name: a shape, as `shapes.parse` reads it.
        method: `lora` or `qlora`; what is not in NF4 is in float32.
        free: bytes that may be used; None: what the machine has available.

    A step that would not fit is not taken; `skipped` says so then, beside the prediction.
    """
    return_freed_memory()
    shape = shapes.parse(name)
    ids, targets = batch(shape)
    # Once beforehand, so that what torch loads at the first step counts as the process's own.
    small = shapes.PRESETS["minigpt"]
    measure.step_bytes(Decoder(small, regime_of(small, method)), *batch(small))
    baseline = peak_resident()
    counted = formula.count(shape, regime_of(shape, method), ids.numel())
    needed = counted["total_bytes"] + transient_bytes(shape, method, *ids.shape)
    row = {
        "shape": name,
        "method": method,
        "parameters": shape.total_parameters(),
        "tokens": ids.numel(),
        "baseline_bytes": baseline,
        "predicted_bytes": baseline + needed,
        "measured_bytes": None,
        "skipped": None,
    }
    row |= {f"{bucket}_bytes_predicted": counted[f"{bucket}_bytes"] for bucket in formula.BUCKETS}
    row |= {f"{bucket}_bytes_measured": None for bucket in formula.BUCKETS}
    free = available() if free is None else free
    if needed > free:
        row["skipped"] = f"needs {human(needed)}, {human(free)} free"
    else:
        held = measure.step_bytes(Decoder(shape, regime_of(shape, method)), ids, targets)
        row |= {f"{bucket}_bytes_measured": held[bucket] for bucket in formula.BUCKETS}
        row["measured_bytes"] = peak_resident()
    return row
