"""A run followed along its training on validation, and scored on test where it is compared.

Methods are compared at equal drift or at equal margin. Where a run first reaches that is found on
validation, between two of its checkpoints; what is reported is the mixture of how the two score on
test, sentence by sentence.
"""

from typing import Any

import torch

from minituner import compute, evaluate
from minituner.foundation import numerics
from minituner.lora import trainable_parameters
from minituner.model import MiniGPT
from studies import subspace
from studies.levels import crossing
from studies.tuning import Checkpoint, Rows, tune
from studies.variants import Variant

NAMES = ("id", "set", "split", "pair", "verb_lemma", "tense")
SCORES = (
    *("chosen", "exact", "margin", "correct_logp"),
    *("form_nats", "form_symbols", "sentence_nats", "sentence_symbols"),
)


class Following:
    """Scores runs of one seed.

    Args:
        held_out: the rows of both subsets that are not tuned on.
        base: the untuned model, which drifts are measured against.
        science: the settings `drift` and `margin` that runs are compared at.
    """

    def __init__(self, held_out: Rows, base: MiniGPT, science: dict[str, Any]) -> None:
        self.held_out, self.levels = held_out, {k: science[k] for k in ("drift", "margin")}
        main = [row for row in held_out if row["set"] in ("irregular", "control")]
        self.val = [_light(row) for row in main if row["split"] == "val"]
        self.test = [row for row in main if row["split"] == "test"]
        self.perplexity = perplexity(score(base, None, self.val))
        scored = score(base, None, held_out)
        self.base = [{"variant": "base", "at": "end", "reached": True} | row for row in scored]

    def run(
        self,
        variant: Variant,
        model: MiniGPT,
        settings: dict[str, Any],
        rows: dict[str, Rows],
        seed: int,
    ) -> tuple[Rows, Rows]:
        """Tune a model in place; its scores on test where it is compared, and its curve."""
        checkpoints = tune(model, settings, variant, rows, seed)
        if not variant.compared:
            return self._at_end(variant, model, checkpoints), []
        curve = [self.measured(score(model, point, self.val)) for point in checkpoints]
        tested = self._at_end(variant, model, checkpoints) if variant.at_end else []
        by_checkpoint: dict[int, Rows] = {}
        for at in variant.compared:
            before, weight, reached = crossing([row[at] for row in curve], self.levels[at])
            for i in (before, before + 1):
                if i not in by_checkpoint:
                    by_checkpoint[i] = score(model, checkpoints[i], self.test)
            between = mixture(by_checkpoint[before], by_checkpoint[before + 1], weight)
            tested += [{"variant": variant.name, "at": at, "reached": reached} | r for r in between]
        return tested, [
            {"variant": variant.name, "seed": seed, "step": point.step} | row
            for point, row in zip(checkpoints, curve, strict=True)
        ]

    def _at_end(self, variant: Variant, model: MiniGPT, checkpoints: list[Checkpoint]) -> Rows:
        scored = score(model, checkpoints[-1], self.held_out)
        return [{"variant": variant.name, "at": "end", "reached": True} | row for row in scored]

    def measured(self, scores: Rows) -> dict[str, float]:
        """Margin and accuracy of the irregular rows, and the control's drift."""
        irregular = [row for row in scores if row["set"] == "irregular"]
        means = {
            name: sum(float(row[column]) for row in irregular) / len(irregular)
            for name, column in (("margin", "margin"), ("accuracy", "chosen"))
        }
        return means | {"drift": perplexity(scores) / self.perplexity - 1}


@torch.no_grad()
def score(model: MiniGPT, checkpoint: Checkpoint | None, rows: Rows) -> Rows:
    """What a model makes of some rows, at a checkpoint of its own or as it is."""
    if checkpoint:
        for parameter, kept in zip(trainable_parameters(model), checkpoint.parameters, strict=True):
            parameter.copy_(kept)
    asked = compute.accelerate(subspace.merged(model).eval())
    return [
        {name: row[name] for name in NAMES} | {name: _number(scores[name]) for name in SCORES}
        for row, scores in zip(rows, evaluate.score_rows(asked.score, rows), strict=True)
    ]


def perplexity(scores: Rows) -> float:
    """Of the control's sentences, a symbol."""
    control = [row for row in scores if row["set"] == "control"]
    symbols = sum(row["sentence_symbols"] for row in control)
    return float(numerics.exponential(sum(row["sentence_nats"] for row in control) / symbols))


def mixture(one: Rows, other: Rows, weight: float) -> Rows:
    """Scores between those of two checkpoints; `weight` is the second's, from 0 to 1."""

    def between(a: float | None, b: float | None) -> float | None:
        return None if a is None else (1 - weight) * a + weight * b

    return [
        a | {name: between(a[name], b[name]) for name in SCORES}
        for a, b in zip(one, other, strict=True)
    ]


def _number(x: Any) -> float | None:
    """A score as it is stored, which a mixture need not be whole for."""
    return None if x is None else float(x)


def _light(row: dict[str, Any]) -> dict[str, Any]:
    """A row for the curve: of the control, only its sentence's perplexity is asked."""
    return row if row["set"] == "irregular" else row | {"alternatives": []}
