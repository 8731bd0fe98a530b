"""How far the headline depends on the base."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from minituner.analysis.summary import lookup
from minituner.reporting.style import BLUE, ORANGE, RED
from studies.drawing import SHARES, points
from studies.results import COLUMNS, Row, shown

NAME, TITLE = "bases", "How far does the headline depend on the base?"
METRICS = {
    "accuracy": "accuracy",
    "drift": "perplexity_drift",
    "control_accuracy": "control_accuracy",
}


def rows_of(project: Any, study: str, item: str, unit: str) -> list[Row]:
    """A unit's figures of a project's summary, as a study's rows."""
    rows = []
    for metric, column in METRICS.items():
        if unit != "base" or metric != "drift":
            found = lookup(project.summary, unit, column)
            fields = (
                study,
                item,
                "",
                metric,
                found["seeds"],
                found["value"],
                found["low"],
                found["high"],
                None,
            )
            rows.append(dict(zip(COLUMNS, fields, strict=True)))
    return rows


def answer(evidence: Any) -> tuple[list[Row], str]:
    """The verdict and the figures of an experiment on each further base."""
    rows, met, gains, drifts = [], [], [], []
    projects = {n: p for n, p in evidence.projects.items() if n.startswith("base_s")}
    ranks = sorted(evidence.settings["science"]["base_sweep"]["ranks"])
    for name, project in projects.items():
        label = f"base {name.removeprefix('base_s')}"
        units = {"untuned": "base"} | {f"LoRA r={rank}": f"lora_r{rank}" for rank in ranks}
        for what, unit in units.items():
            rows += rows_of(project, NAME, f"{label}, {what}", unit)
        met.append(sum(c["met"] for c in project.verdict["criteria"]))
        judged = f"lora_r{ranks[0]}"
        gains.append(lookup(project.summary, judged, "accuracy_gain"))
        drifts.append(lookup(project.summary, judged, "perplexity_drift"))
    total = len(next(iter(projects.values())).verdict["criteria"])
    held = ", ".join(f"{n} of {total}" for n in met)
    sentence = (
        f"On {len(projects)} bases of other seeds the criteria met are {held}. At r = {ranks[0]} "
        f"accuracy rises by {100 * min(g['value'] for g in gains):.1f} to "
        f"{100 * max(g['value'] for g in gains):.1f} points, and the control drifts by "
        f"{100 * min(d['value'] for d in drifts):+.2f} to "
        f"{100 * max(d['value'] for d in drifts):+.2f} %. "
    )
    untuned = [
        row for row in rows if row["item"].endswith("untuned") and row["metric"] == "accuracy"
    ]
    values = [row["value"] for row in untuned]
    sentence += (
        f"The untuned bases prefer the correct form in {100 * min(values):.1f} to "
        f"{100 * max(values):.1f} % of the test's prompts: an interval of one base "
        f"({shown(untuned[0])}) says nothing of another."
    )
    return rows, sentence


def draw(figure: Figure, evidence: Any, table: pd.DataFrame) -> None:
    """Accuracy and drift on each base."""
    left, right = figure.subplots(1, 2)
    for axes, metric, label in (
        (left, "accuracy", "irregular accuracy"),
        (right, "drift", "control's drift"),
    ):
        rows = table[table["metric"] == metric].set_index("item")
        whats = list(dict.fromkeys(item.split(", ")[1] for item in rows.index))
        bases = list(dict.fromkeys(item.split(", ")[0] for item in rows.index))
        for shift, (what, color) in enumerate(
            zip(whats, (RED, BLUE, ORANGE)[-len(whats) :], strict=False)
        ):
            of = rows[rows.index.str.endswith(what)]
            x = [bases.index(item.split(", ")[0]) + 0.12 * shift for item in of.index]
            points(axes, x, of["value"], of, False, color=color, label=what)
        axes.set_xticks(range(len(bases)), bases)
        axes.set_ylabel(label)
        axes.yaxis.set_major_formatter(SHARES)
        axes.legend()
