"""Merge an adapter into its base: one float model that needs no LoRA code to run."""

from pathlib import Path

import torch

from minituner.checkpoints import checkpoint
from minituner.compute import numerics
from minituner.foundation.errors import UserError
from minituner.lora import LoRALinear
from minituner.model import MiniGPT
from minituner.nf4 import NF4Linear
from minituner.qlora import float_linear, merged_float_linear

SEQUENCES = 8  # of random symbols, on which the logits before and after are compared


def merge_model(model: MiniGPT) -> MiniGPT:
    """Put float Linears in place of each LoRALinear, its update merged, and each NF4Linear.

    In place; returns the model. Weights that were in NF4 are the dequantized ones from here on.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, LoRALinear):
            replacement = merged_float_linear(module)
        elif isinstance(module, NF4Linear) and not name.endswith(".base"):
            replacement = float_linear(module)
        else:
            continue
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, replacement)
    return model


@torch.no_grad()
def merge(base: Path, adapter: Path, out: Path, dequantize: bool = False) -> float:
    """Write the merged float model to `out` and return the largest logit difference it makes.

    Args:
        base: folder of the base that the adapter was trained on.
        adapter: folder of the adapter.
        out: folder to write.
        dequantize: allow an NF4 base, whose weights become floats.

    Raises:
        UserError: for an NF4 base without `dequantize`: rounding the sum to 4 bits again would
            lose most of the update, which is smaller than the gaps between the codes.
    """
    numerics.pin()
    model = checkpoint.load_model(base)
    if any(isinstance(module, NF4Linear) for module in model.modules()) and not dequantize:
        raise UserError(
            f"{base}: stored in 4 bits; rounding the merged weights to 4 bits again would lose the "
            "update, so say --dequantize to merge into the dequantized float weights"
        )
    checkpoint.load_adapter(adapter, model, base)
    config = model.config
    draw = numerics.generator(0, "merge", "probe")
    ids = torch.randint(config.vocab_size, (SEQUENCES, config.context), generator=draw)
    before = model.eval()(ids)
    merged = merge_model(model)
    checkpoint.save_model(out, merged)
    return float((merged(ids) - before).abs().max())
