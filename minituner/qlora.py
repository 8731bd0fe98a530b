"""QLoRA (Dettmers et al. 2023, arXiv:2305.14314): LoRA on a base whose Linears are stored in NF4.

Embeddings and norms stay as they are; every Linear of the blocks is quantized (section 3).
"""

import re
from collections.abc import Callable, Iterable

import torch
import torch.nn as nn

from minituner import nf4
from minituner.foundation.errors import UserError
from minituner.lora import LoRALinear, check_wrap, wrap_minigpt_with_lora

SCHEME = re.compile(r"nf4_per_group_(\d+)(_double)?")


def block_linears(model: nn.Module) -> list[str]:
    """Names of the float Linears inside the blocks."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def replace_linears(
    model: nn.Module,
    modules: list[str],
    quant_type: str = "nf4",
    blocksize: int = 64,
    double_quant: bool = False,
    quantize: Callable = nf4.quantize,
) -> nn.Module:
    """Quantize the named Linears of `model` in place; returns the model.

    Raises:
        UserError: for another quant_type, a name that is no Linear of the model, or a weight that
            cannot be quantized. The model is as it was then.
    """
    if quant_type != "nf4":
        raise UserError(
            f"quantization: quant_type {quant_type!r:.60} is unknown; only nf4 is supported"
        )
    if not isinstance(modules, list) or not all(isinstance(name, str) for name in modules):
        raise UserError("quantization: modules: not a list of names; quantize the base again")
    named, layers = dict(model.named_modules()), {}
    for name in modules:
        if not isinstance(named.get(name), nn.Linear):
            raise UserError(
                f"quantization: {name!r:.60} is no Linear of the model; quantize it again"
            )
        layers[name] = nf4.NF4Linear.from_linear(named[name], blocksize, double_quant, quantize)
    for name, layer in layers.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)
    return model


def wrap_minigpt_qlora(
    model: nn.Module,
    r: int = 8,
    alpha: float = 16.0,
    quant_scheme: str = "nf4_per_group_64",
    target_modules: Iterable[str] | str = ("q_proj", "v_proj"),
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Quantize the Linears that are not yet in NF4, then wrap the targets with LoRA.

    Args:
        model: a MiniGPT, changed in place and returned.
        r: see `LoRALinear`, as are alpha and dropout.
        alpha: see above.
        quant_scheme: `nf4_per_group_<blocksize>`, with `_double` appended for double quantization.
        target_modules: see `matching_linears`.
        dropout: see above.
        generator: where A is drawn from.

    Raises:
        UserError: for an unknown scheme or a target that matches nothing.
        ValueError: for a rank, alpha or dropout outside its range. The model is as it was then.
    """
    match = SCHEME.fullmatch(quant_scheme)
    if not match:
        raise UserError(
            f"quant_scheme: {quant_scheme!r} is unknown; write nf4_per_group_64, or another "
            "blocksize, with _double appended for double quantization"
        )
    check_wrap(model, r, alpha, target_modules, dropout)
    replace_linears(
        model, block_linears(model), blocksize=int(match[1]), double_quant=bool(match[2])
    )
    return wrap_minigpt_with_lora(model, r, alpha, target_modules, dropout, generator)


@torch.no_grad()
def float_linear(linear: nn.Module) -> nn.Linear:
    """A float copy of a Linear; an NF4Linear's weights are the dequantized ones."""
    copy = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None)
    packed = isinstance(linear, nf4.NF4Linear)
    copy.weight.copy_(linear.dequantized() if packed else linear.weight)
    if linear.bias is not None:
        copy.bias.copy_(linear.bias)
    return copy


@torch.no_grad()
def merged_float_linear(layer: LoRALinear) -> nn.Linear:
    """A float Linear with the update merged into the *dequantized* weights of an NF4 base.

    Its outputs equal the adapter's on the NF4 base up to float rounding; the 4-bit file is left
    behind. Merging back into 4 bits is refused by `LoRALinear.merge_`.
    """
    merged = float_linear(layer.base)
    merged.weight += layer.delta_weight()
    return merged


@torch.no_grad()
def lost_by_merging(layer: LoRALinear) -> float:
    """Share of an update that rounds away beside the weights: ‖(W + Δ) − W − Δ‖ / ‖Δ‖.

    Near 1e-7 times ‖W‖ / ‖Δ‖, since float32 holds 24 bits; 1 where nothing of the update is left.
    """
    weight, update = float_linear(layer.base).weight, layer.delta_weight()
    return float(((weight + update) - weight - update).norm() / update.norm().clamp(min=1e-38))


def merge_model(model: nn.Module) -> nn.Module:
    """Put float Linears in place of each LoRALinear, its update merged, and each NF4Linear.

    In place; returns the model. Weights that were in NF4 are the dequantized ones from here on.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, LoRALinear):
            replacement = merged_float_linear(module)
        elif isinstance(module, nf4.NF4Linear) and not name.endswith(".base"):
            replacement = float_linear(module)
        else:
            continue
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, replacement)
    return model
