"""How many sentences the gain needs."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from minituner.reporting.style import BLUE, RED
from studies.drawing import POINTS, points, rows_of
from studies.results import STUDIED, Row, Scores, family, shown, significant
from studies.variants import TASKS

NAME, TITLE = "amount", "How many sentences does the gain need?"


def answer(evidence: Any) -> tuple[list[Row], str]:
    """Gains with fewer sentences, and what these lack of the gain with all."""
    scores: Scores = evidence.scores[TASKS]
    total = evidence.settings["subsets"]["train"]
    sizes = sorted(evidence.settings["science"]["examples"])
    variant = {n: f"examples_{n}" for n in sizes} | {total: "standard"}
    gains = {
        metric: {n: scores.row(NAME, str(n), metric, variant[n], "base") for n in variant}
        for metric in ("accuracy", "margin")
    }
    lacks = {
        metric: {n: scores.row(NAME, str(n), metric, variant[n], "standard") for n in sizes}
        for metric in gains
    }
    family([row for rows in lacks.values() for row in rows.values()])
    bar, levels = evidence.settings["definition_of_done"]["accuracy_gain"], gains["accuracy"]
    # the fewest from which on every number does
    enough = [n for n in variant if all(levels[m]["low"] >= bar for m in variant if m >= n)]
    parts = [
        f"The gain's interval lies above the bar of {100 * bar:g} points from {min(enough)} "
        f"sentences on ({shown(levels[min(enough)])})"
        if enough
        else f"With no number of sentences the gain's interval lies above {100 * bar:g} points"
    ]
    for metric, rows in lacks.items():
        apart, name = [n for n in sizes if significant(rows[n])], STUDIED[metric][0]
        parts.append(
            f"{name} still differs from that of all {total} with {max(apart)} "
            f"({shown(rows[max(apart)])})"
            if apart
            else f"with no number does {name} differ significantly from that of all {total}"
        )
    every = [row for part in (gains, lacks) for rows in part.values() for row in rows.values()]
    return every, "; ".join(parts) + "."


def draw(figure: Figure, evidence: Any, table: Any) -> None:
    """Accuracy gain against the number of sentences."""
    axes = figure.subplots()
    rows = rows_of(table, "accuracy", "base")
    sizes = rows.index.astype(int)
    points(axes, sizes, rows["value"], rows, False, color=BLUE, linestyle="-")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, rows.index)
    axes.xaxis.set_minor_locator(NullLocator())
    bar = evidence.settings["definition_of_done"]["accuracy_gain"]
    axes.axhline(bar, color=RED, linestyle="--")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(POINTS)
    axes.set_xlabel("sentences to tune on (dashed: the bar)")
    axes.set_ylabel("accuracy, points above the base")
