"""Fine-tuning along random directions: how many does the task need? (Li et al. 2018, 1804.08838)

θ = θ₀ + P z: all weights of the chosen Linears move together along the d columns of P, which are
random and fixed; z has d entries, starts at zero and is all that is trained.
"""

import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner.model import MiniGPT


class RandomSubspace(nn.Module):
    """A Linear whose weight is its own plus some rows of P z, (…, in) → (…, out).

    Args:
        base: the layer, which stays as it is.
        directions: its rows of P, (out · in, d).
        z: the trained coordinates (d,), which all layers share.
    """

    def __init__(self, base: nn.Linear, directions: torch.Tensor, z: nn.Parameter):
        super().__init__()
        self.base, self.z = base, z
        self.register_buffer("directions", directions, persistent=False)

    def weight(self) -> torch.Tensor:
        """The moved weight, (out, in)."""
        return self.base.weight + (self.directions @ self.z).view_as(self.base.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""
        return F.linear(x, self.weight(), self.base.bias)


def wrap(
    model: MiniGPT, d: int, target_modules: tuple[str, ...], generator: np.random.Generator
) -> None:
    """Let the named Linears move along d random directions of unit length, in place."""
    model.requires_grad_(False)
    places = [
        (block.attn, name)
        for block in model.blocks
        for name in target_modules
        if hasattr(block.attn, name)
    ]
    sizes = [getattr(parent, name).weight.numel() for parent, name in places]
    directions = generator.standard_normal((sum(sizes), d), dtype=np.float32)
    directions /= np.sqrt(np.float32(sum(sizes)))  # their length before, nearly
    z = nn.Parameter(torch.zeros(d))
    for (parent, name), rows in zip(places, torch.from_numpy(directions).split(sizes), strict=True):
        setattr(parent, name, RandomSubspace(getattr(parent, name), rows, z))


@torch.no_grad()
def merged(model: MiniGPT) -> MiniGPT:
    """A plain copy in which the moved weights stand."""
    plain = copy.deepcopy(model)
    for block in plain.blocks:
        for name, layer in list(block.attn.named_children()):
            if isinstance(layer, RandomSubspace):
                layer.base.weight.copy_(layer.weight())
                setattr(block.attn, name, layer.base)
    return plain
