"""Our LoRA and NF4 held against PEFT's and bitsandbytes': the table and what its rows share.

    python -m benchmarks.parity --out docs/parity.md

Every comparison can be run with a small fault on our side, to show that it would be seen;
tests/benchmarks/test_parity.py runs them both ways. The peers come with `make peers`.
"""

import dataclasses
from collections.abc import Callable

import torch
import torch.nn as nn

from minituner import compute, lora
from minituner.model import MiniGPT, ModelConfig

CONFIG = ModelConfig(vocab="abcdefghijklmnopqrstuvwxyz :.'\n")
TARGETS = {"q, v": ["q_proj", "v_proj"], "all Linears": ["q_proj", "k_proj", "v_proj", "o_proj"]}
TARGETS["all Linears"] += ["fc1", "fc2"]
# How our side computes: by the compiled loops, as the product does, or by the textbook's modules.
WAYS = {"": compute.accelerate, "textbook's ": lambda model: model}
ROUNDING = 2e-5  # float32, relative, through four layers and fifty steps
FAULT = 1.001  # what a perturbed side multiplies one of its tensors by


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One row of the table: what is compared, with which package, and how much it may differ."""

    what: str
    peer: str
    measure: str
    bound: float
    run: Callable[[bool], float]


COMPARISONS: list[Comparison] = []


def compare(what: str, peer: str, measure: str, bound: float):
    """Enter a function(perturbed) → largest difference in the table."""

    def enter(run: Callable[[bool], float]) -> Callable[[bool], float]:
        COMPARISONS.append(Comparison(what, peer, measure, bound, run))
        return run

    return enter


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference, in units of the largest magnitude."""
    return float((ours.detach() - theirs.detach()).abs().max() / theirs.detach().abs().max())


def minigpt() -> MiniGPT:
    """The same MiniGPT at each call, weights large enough for outputs to matter."""
    compute.pin()
    model = MiniGPT(CONFIG, compute.generator(0, "parity"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter *= 3
    return model


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and targets, (8, 48) each."""
    drawn = torch.randint(
        len(CONFIG.vocab), (8, 49), generator=compute.generator(seed, "parity", "batch")
    )
    return drawn[:, :-1], drawn[:, 1:]


def trained_b(model: nn.Module) -> None:
    """Move every lora_B from zero, as if it had been trained."""
    draw = compute.generator(1, "parity")
    for layer in lora.lora_layers(model).values():
        nn.init.normal_(layer.lora_B, std=0.1, generator=draw)


def gradients_apart(ours: nn.Module, theirs: nn.Module) -> float:
    """Largest `relative` between the gradients of what both models train, by equal losses."""
    gradients = []
    for model in (ours, theirs):
        model.loss(*batch()).backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    return max(relative(a, b) for a, b in zip(*gradients, strict=True))


def perturb(model: nn.Module) -> None:
    """The fault: one lora_B is off by a tenth of a percent."""
    with torch.no_grad():
        list(lora.lora_layers(model).values())[-1].lora_B.mul_(FAULT)
