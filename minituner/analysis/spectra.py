"""How many directions does a learned update use? Singular values of (α/r) B A, layer by layer.

Two answers, since a small singular value need not be a useless one: the values themselves, and what
is left of the gain when an adapter is cut down to its first direction.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch

from minituner.compute import decompose
from minituner.lora import lora_layers
from minituner.model import MiniGPT


def layer_spectra(model: MiniGPT) -> Iterator[dict[str, Any]]:
    """For each adapted layer and direction: the singular value and its share of the update."""
    for name, layer in lora_layers(model).items():
        b, a = (x.detach().numpy() for x in (layer.lora_B, layer.lora_A))
        values = layer.scaling * decompose(b, a)[1]
        total = (values * values).sum()
        for i, value in enumerate(values):
            yield {"layer": name, "index": i + 1, "value": value, "share": value * value / total}


@torch.no_grad()
def keep_directions(model: MiniGPT, kept: int) -> None:
    """Cut every update of the model down to its `kept` largest directions, in place."""
    for layer in lora_layers(model).values():
        left, _, right = decompose(layer.lora_B.numpy(), layer.lora_A.numpy())
        layer.lora_B.zero_()[:, :kept] = torch.tensor(left[:, :kept], dtype=torch.float32)
        layer.lora_A.zero_()[:kept] = torch.tensor(right[:kept], dtype=torch.float32)


def on_test(evaluation: pd.DataFrame) -> dict[str, float]:
    """Accuracy and margin of an evaluated run on the irregular test sentences."""
    return means(evaluation[evaluation["irregular"] & (evaluation["split"] == "test")])


def means(scored: pd.DataFrame) -> dict[str, float]:
    """Accuracy and margin over scored sentences."""
    return {
        "accuracy": float(scored["chosen"].astype(float).mean()),
        "margin": float(scored["margin"].mean()),
    }
