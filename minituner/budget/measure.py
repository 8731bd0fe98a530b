"""The bytes of a real training step, counted from its live tensors, to stand beside the formula's.

A small model's share of a process's memory cannot be read from outside, so every tensor's storage
is counted: weights, gradients, optimizer state, and what autograd saves for the backward pass.
"""

from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from minituner import compute
from minituner.budget.formula import Regime
from minituner.foundation import seeds
from minituner.lora import trainable_parameters, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from minituner.nf4 import NF4Linear
from minituner.qlora import wrap_minigpt_qlora


def step_bytes(model: MiniGPT, ids: torch.Tensor, targets: torch.Tensor) -> dict[str, int]:
    """Take one AdamW step and count bytes in four buckets, each storage once.

    Args:
        model: ready to train, with a `loss`; the step changes it.
        ids: (B, T), int64.
        targets: (B, T), int64, masked with `IGNORE`.
    """
    held = [*model.parameters(), *model.buffers()]
    held_storages = {tensor.untyped_storage().data_ptr() for tensor in held}
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held_storages:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    parameters = trainable_parameters(model)
    optimizer = compute.AdamW([{"params": parameters}], lr=1e-3)
    model.train()
    with saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model.loss(ids, targets)
    loss.backward()
    optimizer.step()
    state = [value for fields in optimizer.state.values() for value in fields.values()]
    return {
        "weights": sum(tensor.nbytes for tensor in held),
        "gradients": sum(p.grad.nbytes for p in parameters),
        "optimizer": sum(value.nbytes for value in state),
        "activations": sum(saved.values()),
    }


def linears_bytes(model: MiniGPT) -> int:
    """Bytes of the weights of the blocks' Linears as they are held, scales included."""
    total = 0
    for module in model.modules():
        if isinstance(module, NF4Linear):
            total += sum(t.nbytes for t in module.buffers() if t is not module.bias)
        elif isinstance(module, torch.nn.Linear):
            total += module.weight.nbytes
    return total


def build(config: ModelConfig, regime: Regime) -> MiniGPT:
    """A model set up to train by a regime."""
    model = MiniGPT(config, seeds.generator(0, "counts"))
    if regime.method == "lora":
        wrap_minigpt_with_lora(model, regime.rank, 1.0, regime.targets)
    elif regime.method == "qlora":
        scheme = f"nf4_per_group_{regime.blocksize}" + "_double" * regime.double_quant
        wrap_minigpt_qlora(model, regime.rank, 1.0, scheme, regime.targets)
    return model


def verified(config: ModelConfig, regime: Regime, row: dict[str, Any]) -> MiniGPT:
    """A model of a regime, after holding a row of the counts against it.

    Raises:
        AssertionError: if a formula and the model differ, which is a fault of formula.py.
    """
    model = build(config, regime)
    held = sum(t.nbytes for t in [*model.parameters(), *model.buffers()])
    trained = sum(p.numel() for p in trainable_parameters(model))
    if (held, trained) != (row["weights_bytes"], row["trainable_parameters"]):
        raise AssertionError(f"{regime.name}: the model holds {held} bytes and trains {trained}")
    return model
