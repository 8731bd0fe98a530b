"""Lab 02's steps about training: what is trained, and the loop."""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn as nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from minituner import data
from minituner.foundation import seeds
from minituner.labs.checking import Work, Wrong, same, tell
from minituner.labs.lab_02_tiny import CONFIG, ROWS, tiny
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from minituner.model import MiniGPT

ADAMW = functools.partial(torch.optim.AdamW, weight_decay=0.0)
WITHIN = 1e-3  # relative and absolute, for numbers that were trained at high rates


def prepared(work: Work) -> None:
    """What an adapter and full fine-tuning leave trainable, and where the adapter is."""
    scalings = {rank: adapter(work, rank) for rank in (2, 4)}
    if scalings[2] == scalings[4]:
        raise Wrong("alpha grows with the rank")
    for rank, scaling in scalings.items():
        tell(scaling, work.ALPHA / rank, {}, f"the scaling at rank {rank}")
    if not all(parameter.requires_grad for parameter in made(work, None).parameters()):
        raise Wrong("full fine-tuning frozen")


def made(work: Work, rank: int | None) -> nn.Module:
    """What `prepare` returns for a rank.

    Raises:
        Wrong: if that is no model.
    """
    model = work.prepare(tiny(), rank)
    if not isinstance(model, nn.Module):
        raise Wrong("model not returned", f"(rank {rank} gives {type(model).__name__})")
    return model


def adapter(work: Work, rank: int) -> float:
    """The scaling of all layers of the learner's adapter.

    Raises:
        Wrong: if the adapter is not where it belongs, or not it alone is trained.
    """
    model = made(work, rank)
    layers = {n: m for n, m in model.named_modules() if hasattr(m, "lora_A")}
    ends = {name.rpartition(".")[2] for name in layers}
    if ends != {"q_proj", "v_proj"} or len(layers) != 2 * CONFIG.n_layer:
        raise Wrong("wrong Linears")
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    if any(not name.endswith(("lora_A", "lora_B")) for name in trained):
        raise Wrong("base not frozen")
    if len(trained) != 2 * len(layers):
        raise Wrong("adapter frozen")
    for layer in layers.values():
        if layer.lora_A.shape[0] != rank:
            raise Wrong("", f"rank {layer.lora_A.shape[0]} where {rank} was asked for")
    ids, _ = data.batch([row["text"] for row in ROWS], CONFIG.vocab)
    with torch.no_grad():
        if not same(model(ids), tiny()(ids), 1e-4):
            raise Wrong("another layer's Linear")
    return layer.scaling


def trained_by(
    batches: list, pace: list[float], new: Callable = ADAMW, clear: bool = True, anew: bool = False
) -> torch.Tensor:
    """All trained numbers after the loop, run right or in one wrong way.

    Args:
        batches: ids and targets of each step.
        pace: the rate of each step.
        new: makes an optimizer of the parameters.
        clear: clear the gradients in each step.
        anew: make an optimizer in each step.
    """
    model = adapter_model()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = new(parameters)
    for (ids, targets), rate in zip(batches, pace, strict=True):
        if anew:
            optimizer = new(parameters)
        optimizer.param_groups[0]["lr"] = rate
        if clear:
            optimizer.zero_grad()
        model.loss(ids, targets).backward()
        optimizer.step()
    return numbers_of(model)


def adapter_model() -> MiniGPT:
    """The tiny model with an adapter of rank 2, its numbers so large that weight decay shows."""
    draw = torch.Generator().manual_seed(seeds.derive_seed(0, "lab 02", "adapter"))
    model = wrap_minigpt_with_lora(tiny(), 2, 0.5, generator=draw)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_A.data, generator=draw)
        nn.init.normal_(layer.lora_B.data, generator=draw)
    return model


def numbers_of(model: MiniGPT) -> torch.Tensor:
    """A and B of every layer, one after the other."""
    parts = [p for layer in lora_layers(model).values() for p in (layer.lora_A, layer.lora_B)]
    return torch.cat([part.detach().flatten() for part in parts])


def loop(work: Work) -> None:
    """The trained numbers after four steps."""
    texts, seen = map(list, zip(*data.completions(ROWS), strict=True))
    order = ([0, 1], [2, 3], [0, 3], [1, 2])
    batches = [
        data.batch([texts[i] for i in two], CONFIG.vocab, [seen[i] for i in two]) for two in order
    ]
    pace = [0.1, 0.2, 0.05, 0.3]
    one, late, default = 4 * [pace[0]], [0.001, *pace[:-1]], 4 * [0.001]
    answer = fitted(work, batches, pace)
    right = trained_by(batches, pace)
    wrong = {
        "gradients never cleared": trained_by(batches, pace, clear=False),
        "rates not used: AdamW's own": trained_by(batches, default),
        "rates not used: AdamW's own, and its weight decay": trained_by(
            batches, default, torch.optim.AdamW
        ),
        "rates not used: the first in every step": trained_by(batches, one),
        "rates not used: each a step too late": trained_by(batches, late),
        "weight decay left on": trained_by(batches, pace, torch.optim.AdamW),
        "an optimizer a step": trained_by(batches, pace, anew=True),
        "another optimizer": trained_by(batches, pace, torch.optim.SGD),
        "last batch left out": trained_by(batches[:-1], pace[:-1]),
    }
    tell(answer, right, wrong, "what four steps made of A and B", WITHIN)


def fitted(work: Work, batches: list, pace: list[float]) -> torch.Tensor:
    """All trained numbers after the learner's loop.

    Raises:
        Wrong: if none has moved, with what is missing.
    """
    model, backward, steps = adapter_model(), [], []
    before = numbers_of(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.register_hook(lambda _: backward.append(True))

    def at_step(*_: Any) -> None:
        steps.append(any(p.grad is not None and p.grad.any() for p in trained))

    handle = register_optimizer_step_pre_hook(at_step)
    try:
        work.fit(model, batches, pace)
    finally:
        handle.remove()
    after = numbers_of(model)
    if torch.equal(before, after):
        if steps and not backward:
            raise Wrong("loss never goes backward")
        if steps and not any(steps):
            raise Wrong("gradients cleared before the step")
        raise Wrong("nothing is trained")
    return after
