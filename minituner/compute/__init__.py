"""The textbook's numbers, fast, and the same bytes on every machine; this is the room's only door.

`accelerate(model)` gives what has `loss(ids, targets)` and `score(prompts, forms)` and is called
like the model; all else of it is the model's own. `pin()` comes before computing: one
thread. `generator(seed, "purpose")` has random numbers that belong to a seed and a purpose.
"""

from typing import TYPE_CHECKING

from minituner.compute.adamw import AdamW, clip_grad_norm_
from minituner.compute.quantization import dequantize, quantize
from minituner.compute.setup import generator, pin
from minituner.compute.svd import decompose

if TYPE_CHECKING:
    import torch

    from minituner.compute.accelerated import Accelerated
    from minituner.model import MiniGPT

__all__ = [
    "AdamW",
    "accelerate",
    "clip_grad_norm_",
    "decompose",
    "dequantize",
    "generator",
    "linear",
    "pin",
    "quantize",
]


def accelerate(model: "MiniGPT") -> "Accelerated":
    """The model, computed by compiled loops; the model itself stays as it is.

    The loops are imported here, since numba takes a quarter of a second that only computing repays.
    """
    from minituner.compute.accelerated import Accelerated

    return Accelerated(model)


def linear(layer: "torch.nn.Module", x: "torch.Tensor") -> "torch.Tensor":
    """What one Linear makes of x, (…, in) → (…, out): float, in NF4 or with a low-rank update."""
    from minituner.compute import single

    return single.linear(layer, x)
