"""Which of NF4's 16 codes do the base's weights take, and how are those weights distributed?"""

import numpy as np
import pandas as pd
import torch
import torch.nn as nn

from minituner import nf4

BINS = 80  # of the histogram, over −1 … 1


def unpack(layer: nf4.NF4Linear) -> np.ndarray:
    """The 4-bit codes of a layer's weights, uint8 (out · in,)."""
    packed = layer.weight.view(-1)
    pairs = torch.stack([packed >> 4, packed & 15], dim=1).view(-1)
    return pairs[: layer.out_features * layer.in_features].numpy()


def scaled(weight: torch.Tensor, layer: nf4.NF4Linear) -> np.ndarray:
    """The weights divided by their block's absmax, float64 (out · in,), within −1 … 1."""
    flat = weight.detach().reshape(-1).double().numpy()
    state = layer.quant_state
    scales = state.scales().double().numpy().repeat(state.blocksize)[: len(flat)]
    return flat / np.where(scales > 0, scales, 1.0)


def tables(
    float_model: nn.Module, nf4_model: nn.Module, modules: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The codes of the named Linears, one row a code; and a histogram of the scaled weights.

    A code's row has its value, how many weights take it, and the root mean square of the rounding
    error of those, in units of the block's absmax.
    """
    taken, weights = [], []
    for name in modules:
        layer = nf4_model.get_submodule(name)
        taken.append(unpack(layer))
        weights.append(scaled(float_model.get_submodule(name).weight, layer))
    codes, values = np.concatenate(taken), np.concatenate(weights)
    table = nf4.code_values().double().numpy()
    squares = (values - table[codes]) ** 2
    n = np.bincount(codes, minlength=16)
    error = np.sqrt(np.bincount(codes, squares, minlength=16) / np.maximum(n, 1))
    by_code = pd.DataFrame({"code": range(16), "value": table, "weights": n, "error": error})
    counted, edges = np.histogram(values, BINS, (-1, 1))
    histogram = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "weights": counted})
    return by_code, histogram
