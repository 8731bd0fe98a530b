"""A tiny model of random numbers and four sentences, which lab 02's first steps work on."""

import copy
import functools

import torch

from minituner import data, evaluate
from minituner.foundation import seeds
from minituner.model import MiniGPT, ModelConfig

SENTENCES = (  # prompt, form, what follows, alternatives
    ("go: yesterday she ", "went", " to school.", ("goed", "go", "wented")),
    ("eat: last week we ", "ate", " rice.", ("eated", "eat")),
    ("see: he has ", "seen", "", ("saw", "seed", "sawed")),
    ("be: they ", "were", " at home all day.", ("was", "beed", "am")),
)
ROWS = [
    {"text": p + form + after, "prompt": p, "form": form, "alternatives": list(wrong)}
    for p, form, after, wrong in SENTENCES
]
CONFIG = ModelConfig(
    vocab=data.vocabulary([p + f + a + "".join(w) for p, f, a, w in SENTENCES]),
    n_layer=2, n_head=2, d_model=16, d_ff=32, context=48,
)  # fmt: skip


@functools.cache
def _tiny() -> MiniGPT:
    """A model with large random weights, so that its probabilities differ much."""
    model = MiniGPT(CONFIG, torch.Generator().manual_seed(seeds.derive_seed(0, "lab 02")))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.dim() > 1 else 1.0)
    return model


def tiny() -> MiniGPT:
    """A copy of that model, the learner's to change."""
    return copy.deepcopy(_tiny())


def of_form(model: MiniGPT, prompt: str, form: str) -> list[float]:
    """The log-probability of each symbol of a form."""
    return evaluate.score(model, [prompt], [form])[0][0, len(prompt) :].tolist()
