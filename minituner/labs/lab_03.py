"""Lab 03, QLoRA: its last steps, and the list of all."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn as nn

from minituner import data, train
from minituner.labs.checking import Step, Work, Wrong, same, tell
from minituner.labs.lab_03_codes import bytes_of_pairs, matrix, one_block
from minituner.labs.lab_03_layers import linear, whole_model
from minituner.labs.trial import bars, loaded, measured, meets_bars, outcome
from minituner.lora import lora_layers, lora_state_dict, wrap_minigpt_with_lora
from minituner.model import MiniGPT

RANK, ALPHA = 4, 8  # both whole, so that one can be taken for the other


@functools.cache
def trained_lora() -> MiniGPT:
    """The base with an adapter trained on it, in floats."""
    model = wrap_minigpt_with_lora(copy.deepcopy(loaded().base), RANK, ALPHA)
    examples = data.completions(loaded().train)
    settings = {"steps": 100, "batch_size": 32, "learning_rate": 0.001, "warmup": 20}
    settings["eval_every"] = 100
    train.tune(model, settings, {"train": examples, "val": examples[:32]}, seed=0)
    return model.eval()


def built(build: Callable[..., Any], base: MiniGPT, *arguments: Any) -> Any:
    """What a function of the learner's builds of a base, which must stay as it is.

    Args:
        build: `on_nf4` or `qlora`.
        base: in floats.
        arguments: behind the base: a tuned model for `on_nf4`, rank and alpha.

    Raises:
        Wrong: if it changes a model, or builds none in 4 bits with such an adapter.
    """
    *trained, rank, alpha = arguments
    given = copy.deepcopy([base, *trained])
    try:
        model = build(*given, rank, alpha)
    except AttributeError as error:
        if "LoRALinear" not in str(error):
            raise
        raise Wrong("wrapped before quantizing") from None
    for was, now in zip([base, *trained], given, strict=True):
        if now is model or state(was) != state(now):
            raise Wrong("base changed")
    if not isinstance(model, nn.Module) or not lora_layers(model):
        raise Wrong("adapter left out")
    for layer in lora_layers(model).values():
        if (layer.lora_A.shape[0], layer.scaling) != (rank, alpha / rank):
            said = f"rank {layer.lora_A.shape[0]} and alpha {layer.scaling * layer.lora_A.shape[0]}"
            raise Wrong("rank and alpha mixed up", f"({said}; asked for: {rank} and {alpha})")
    theirs = {p.data_ptr() for one in given for p in one.parameters()}
    if any(numbers.data_ptr() in theirs for numbers in lora_state_dict(model).values()):
        raise Wrong("numbers shared")
    if any(isinstance(part, nn.Linear) for part in model.modules()):
        raise Wrong("Linear left in floats", "(below or beside the adapter)")
    return model


def state(model: nn.Module) -> dict[str, Any]:
    """All that a call could change: classes of the layers, numbers, what asks for a gradient."""
    layers = {name: type(layer) for name, layer in model.named_modules()}
    numbers = {name: (p.requires_grad, p.tolist()) for name, p in model.named_parameters()}
    return layers | numbers


def agreement(work: Work) -> None:
    """The same adapter on both bases: apart by no more than the bar allows."""
    base, lora = loaded().base, trained_lora()
    texts = [row["text"] for row in loaded().irregular]
    ids, _ = data.batch(texts, base.config.vocab)
    qlora = built(work.on_nf4, base, lora, RANK, ALPHA)
    numbers = lora_state_dict(qlora)
    if any(not same(numbers[name], own) for name, own in lora_state_dict(lora).items()):
        raise Wrong("adapter left out")
    with torch.no_grad():
        nf4_base = work.quantize_model(copy.deepcopy(base))
        apart = (base(ids) - nf4_base(ids)).double()
        on_top = (lora(ids) - qlora(ids)).double()
    wrong = {"mean without magnitude": float(apart.mean())}
    answer, said = work.difference(base, nf4_base, ids), "difference(base, NF4 base, ids)"
    if getattr(answer, "shape", ()) != ():
        raise Wrong("", f"{said} has the shape {tuple(answer.shape)}; take the mean over all")
    tell(answer, float(apart.abs().mean()), wrong, said, 1e-3)
    times = float(on_top.abs().mean() / apart.abs().mean())
    print(f"with the adapter the bases differ by {times:.2f} times what quantizing alone changes")
    if times > bars()["agreement"]:
        raise Wrong("", f"the adapter's outputs differ by {times:.2f} times the quantization's")


def training(work: Work) -> None:
    """QLoRA trains A and B alone, and meets the course's bars."""
    model = built(work.qlora, loaded().base, RANK, ALPHA)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    if any(not name.endswith(("lora_A", "lora_B")) for name in trained):
        raise Wrong("base not frozen")
    if len(trained) != 2 * len(lora_layers(model)):
        raise Wrong("adapter frozen")
    # What quantizing cost before any training is not the adapter's to answer for.
    before = measured(work.quantize_model(copy.deepcopy(loaded().base)).eval())
    tuned = work.tune(model, loaded().train).eval()
    meets_bars(outcome(tuned, before), f"QLoRA at rank {RANK}, against the base in NF4")


STEPS = (
    Step("One block", "03-memory-footprint.md: NF4", one_block),
    Step("A matrix", "03-memory-footprint.md: NF4", matrix),
    Step("Two codes a byte", "03-memory-footprint.md: NF4", bytes_of_pairs),
    Step("A Linear in 4 bits", "03-memory-footprint.md: NF4", linear),
    Step("The model in 4 bits", "03-memory-footprint.md: NF4", whole_model),
    Step("The same adapter on both bases", "03-memory-footprint.md: What was measured", agreement),
    Step("Training on 4 bits", "03-memory-footprint.md: What was measured", training),
)
