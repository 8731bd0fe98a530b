"""Intruder dimensions: new singular vectors that tuning puts beside the base's own."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from minituner.reporting.style import BLUE, ORANGE
from studies.definitions import CLOSE, LARGEST, SCALE
from studies.drawing import PERCENT, points
from studies.results import Row, Scores, family, significant, told

NAME, TITLE = "intruders", "Do intruder dimensions cause the forgetting?"


def answer(evidence: Any) -> tuple[list[Row], str]:
    """How many there are by rank, and what scaling them down does to drift and margin."""
    scores: Scores = evidence.scores[NAME]
    counts = evidence.curves[NAME].groupby(["variant", "seed"], sort=False)["intruders"].sum()
    means = counts.groupby("variant", sort=False).mean()
    runs = list(means.index)
    levels = [scores.row(NAME, run, "drift", run) for run in runs]
    stated = {
        (run, metric): scores.row(NAME, f"{run}, scaled down", metric, f"{run}, scaled", run)
        for run in runs
        if means[run] > 0
        for metric in ("drift", "margin")
    }
    family(list(stated.values()))
    numbers = ", ".join(f"{run} {means[run]:.1f}" for run in runs)
    n = int(evidence.curves[NAME].groupby(["variant", "seed"]).size().iloc[0])
    sentence = (
        f"Among the {LARGEST} largest left singular vectors of each of the {n} adapted weights, "
        f"those whose cosine with every one of the base's is below {CLOSE:g} are, a run: "
        f"{numbers}. "
    )
    less = [run for run, metric in stated
            if metric == "drift" and significant(stated[run, metric])
            and stated[run, metric]["value"] < 0]  # fmt: skip
    sentence += (
        f"With these scaled to {SCALE:g} of their size drift falls for {', '.join(less)}"
        if less
        else f"With these scaled to {SCALE:g} of their size drift falls significantly for none"
    )
    shown = [run for run in runs if (run, "drift") in stated][:1] + runs[-1:]
    for run in dict.fromkeys(shown):
        if (run, "drift") in stated:
            two = ", ".join(told(stated[run, metric]) for metric in ("drift", "margin"))
            sentence += f"; {run}: {two}"
    return levels + list(stated.values()), sentence + "."


def draw(figure: Figure, evidence: Any, table: Any) -> None:
    """Counts by run; and drift before and after scaling."""
    left, right = figure.subplots(1, 2)
    counts = evidence.curves[NAME].groupby(["variant", "seed"], sort=False)["intruders"].sum()
    means = counts.groupby("variant", sort=False).mean()
    left.bar(range(len(means)), means, color=BLUE)
    left.set_xticks(range(len(means)), means.index, rotation=45, ha="right")
    left.set_ylabel("intruder dimensions a run")
    scores: Scores = evidence.scores[NAME]
    for shift, color, label, suffix in (
        (-0.1, BLUE, "as tuned", ""),
        (0.1, ORANGE, "scaled down", ", scaled"),
    ):
        rows = pd.DataFrame([scores.row(NAME, run, "drift", run + suffix) for run in means.index])
        points(
            right,
            [i + shift for i in range(len(rows))],
            rows["value"],
            rows,
            False,
            color=color,
            label=label,
        )
    right.set_xticks(range(len(means)), means.index, rotation=45, ha="right")
    right.yaxis.set_major_formatter(PERCENT)
    right.set_ylabel("drift: control perplexity against the base")
    right.legend()
