"""The loss on the form alone, or on the whole sentence."""

from typing import Any

from matplotlib.figure import Figure

from minituner.reporting.style import BLUE, GREEN
from studies.drawing import PERCENT, points, rows_of
from studies.results import Row, Scores, family, told
from studies.variants import TASKS

NAME, TITLE = "loss", "The loss on the form alone, or on the whole sentence?"


def answer(evidence: Any) -> tuple[list[Row], str]:
    """What a loss on the whole sentence changes."""
    scores: Scores = evidence.scores[TASKS]
    levels = [
        scores.row(NAME, item, metric, variant)
        for item, variant in (("form", "standard"), ("whole sentence", "whole_sentence"))
        for metric in ("accuracy", "margin", "drift", "control_accuracy")
    ]
    rows = family(
        [
            scores.row(NAME, "whole sentence", metric, "whole_sentence", "standard")
            for metric in ("accuracy", "margin", "drift", "control_accuracy")
        ]
    )
    said = "; ".join(map(told, rows))
    return levels + rows, f"With the loss on the whole sentence instead of the form alone, {said}."


def draw(figure: Figure, evidence: Any, table: Any) -> None:
    """Margin against forgetting for both losses."""
    axes = figure.subplots()
    margins, drifts = rows_of(table, "margin"), rows_of(table, "drift")
    for color, item in zip((BLUE, GREEN), margins.index, strict=True):
        margin, drift = margins.loc[[item]], drifts.loc[[item]]
        points(axes, drift["value"], margin["value"], drift, True, color=color, label=item)
        points(axes, drift["value"], margin["value"], margin, False, color=color)
    axes.xaxis.set_major_formatter(PERCENT)
    axes.set_xlabel("drift: control perplexity against the base")
    axes.set_ylabel("log-odds margin, nats")
    axes.margins(0.25)
    axes.legend(title="loss on the")
