"""LoRA against PEFT: outputs, gradients, fifty steps of training, and files read both ways."""

import itertools
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import peft
import torch
import torch.nn as nn

from benchmarks.parity import (
    ROUNDING,
    TARGETS,
    WAYS,
    batch,
    compare,
    gradients_apart,
    minigpt,
    perturb,
    relative,
    trained_b,
)
from minituner import compute, lora, train
from minituner.checkpoints.adapters import load_adapter, save_adapter
from minituner.checkpoints.models import load_model, save_model
from minituner.model import MiniGPT


def pair(targets: list[str], by: Callable = WAYS[""]) -> tuple[MiniGPT, nn.Module]:
    """The same MiniGPT with the same adapter, wrapped by us and by PEFT."""
    draw = compute.generator(2, "parity")
    ours = lora.wrap_minigpt_with_lora(minigpt(), 8, 16.0, targets, generator=draw)
    trained_b(ours)
    config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=targets)
    theirs = peft.get_peft_model(minigpt(), config)
    peft.set_peft_model_state_dict(theirs, lora.lora_state_dict(ours))
    return by(ours.train()), theirs.train()


for (_way, _by), (_name, _targets) in itertools.product(WAYS.items(), TARGETS.items()):

    @compare(f"{_way}logits, r=8 on {_name}", "peft", "relative", ROUNDING)
    def logits(perturbed: bool, by: Callable = _by, targets: list[str] = _targets) -> float:
        """Forward pass with equal adapters."""
        ours, theirs = pair(targets, by)
        if perturbed:
            perturb(ours)
        ids, _ = batch()
        return relative(ours(ids), theirs(ids))

    @compare(f"{_way}gradients of A and B, r=8 on {_name}", "peft", "relative", ROUNDING)
    def gradients(perturbed: bool, by: Callable = _by, targets: list[str] = _targets) -> float:
        """Backward pass with equal adapters."""
        ours, theirs = pair(targets, by)
        if perturbed:
            perturb(ours)
        return gradients_apart(ours, theirs)


for _name, _targets in TARGETS.items():

    @compare(f"adapter after 50 steps, r=8 on {_name}", "peft", "relative", 1e-3)
    def fifty_steps(perturbed: bool, targets: list[str] = _targets) -> float:
        """Training from equal adapters on equal batches, by our optimizer and by PyTorch's."""
        ours, theirs = pair(targets)
        settings = {"steps": 50, "learning_rate": 1e-3, "warmup": 5, "eval_every": 50}
        for model, adamw in ((ours, compute.AdamW), (theirs, torch.optim.AdamW)):
            rate = settings["learning_rate"] * (2 if perturbed and model is ours else 1)
            batches = (batch(step) for step in range(50))
            options = settings | {"learning_rate": rate}
            train.fit(model, batches, [batch(99)], options, adamw=adamw)
        our, their = lora.lora_state_dict(ours), peft.get_peft_model_state_dict(theirs)
        return max(relative(our[name], their[name]) for name in our)


@compare("logits after merging", "peft", "relative", ROUNDING)
def merged(perturbed: bool) -> float:
    """merge_ against merge_and_unload."""
    ours, theirs = pair(TARGETS["all Linears"])
    if perturbed:
        perturb(ours)
    for layer in lora.lora_layers(ours).values():
        layer.merge_()
    ids, _ = batch()
    return relative(ours(ids), theirs.merge_and_unload()(ids))


def _saved_base(folder: Path) -> Path:
    save_model(folder / "base", minigpt())
    return folder / "base"


@compare("logits of our adapter file, loaded by PEFT", "peft", "relative", ROUNDING)
def ours_in_peft(perturbed: bool) -> float:
    """PeftModel.from_pretrained on a folder that save_adapter wrote; a warning fails it too."""
    ours, _ = pair(TARGETS["q, v"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        save_adapter(path / "adapter", ours, _saved_base(path))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            theirs = peft.PeftModel.from_pretrained(minigpt(), path / "adapter")
    if perturbed:
        perturb(ours)
    ids, _ = batch()
    return relative(ours(ids), theirs(ids))


@compare("logits of PEFT's adapter file, loaded by us", "peft", "relative", ROUNDING)
def peft_in_ours(perturbed: bool) -> float:
    """load_adapter on a folder that save_pretrained wrote."""
    _, theirs = pair(TARGETS["all Linears"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        theirs.save_pretrained(path / "adapter")
        base = _saved_base(path)
        ours = compute.accelerate(load_adapter(path / "adapter", load_model(base), base))
    if perturbed:
        perturb(ours)
    ids, _ = batch()
    return relative(ours(ids), theirs(ids))
