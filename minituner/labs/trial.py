"""A learner's run on a real base, measured by the experiment's own evaluation."""

import functools
import math
from typing import NamedTuple

import torch.nn as nn

from minituner import evaluate
from minituner.labs import material
from minituner.labs.checking import Wrong
from minituner.labs.work import of_the_project
from minituner.workflow import settings


class Outcome(NamedTuple):
    """What a model learnt and forgot: shares; gain and drift are against what it was before."""

    accuracy: float
    gain: float
    drift: float

    def __str__(self) -> str:
        """As people say it."""
        return f"gain {100 * self.gain:+.0f} points, drift {self.drift:+.1%}"


@functools.cache
def loaded() -> material.Material:
    """The base and the sentences."""
    return material.load()


@functools.cache
def bars() -> dict[str, float]:
    """The bars of the experiment's definition of done."""
    source = material.ROOT / "params.yaml"
    with of_the_project(material.TRACKED):
        return settings.load(source, "definition_of_done")["definition_of_done"]


def measured(model: nn.Module) -> tuple[float, float]:
    """Accuracy on the irregular verbs, and nats a symbol of the control."""
    score = functools.partial(evaluate.score, model)
    rows = loaded()
    irregular, control = (evaluate.score_rows(score, r) for r in (rows.irregular, rows.control))
    nats, symbols = (sum(r[f"sentence_{key}"] for r in control) for key in ("nats", "symbols"))
    return sum(row["chosen"] for row in irregular) / len(irregular), nats / symbols


@functools.cache
def of_base() -> tuple[float, float]:
    """The same of the base."""
    return measured(loaded().base)


def outcome(model: nn.Module, before: tuple[float, float] | None = None) -> Outcome:
    """What a tuned model learnt and forgot, against the base or what was `measured` before."""
    (accuracy, nats), (had, knew) = measured(model), before or of_base()
    return Outcome(accuracy, accuracy - had, math.exp(nats - knew) - 1)


def meets_bars(result: Outcome, whose: str) -> None:
    """Print an outcome, and hold it against the bars.

    Raises:
        Wrong: if it gains too little or drifts too far.
    """
    print(f"{whose}: {result}")
    if result.gain < bars()["accuracy_gain"] or result.drift > bars()["perplexity_drift"]:
        raise Wrong("bars missed", f"({whose}: {result})")
