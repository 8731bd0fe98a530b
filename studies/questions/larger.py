"""The rank on a larger task: forty irregular verbs."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from minituner.analysis.summary import lookup
from minituner.analysis.wording import GAIN, SIGNIFICANT
from minituner.reporting.style import BLUE, rank_axis
from studies.drawing import SHARES, points
from studies.questions.bases import rows_of
from studies.results import Row

NAME, TITLE = "larger", "Does the rank show more on a larger task?"
PROJECT = "forty_verbs"


def answer(evidence: Any) -> tuple[list[Row], str]:
    """Accuracy by rank with forty irregular verbs, and the paired differences."""
    project = evidence.projects[PROJECT]
    units = [
        u for u in project.summary["unit"].unique() if u.startswith("lora_r") and "_s" not in u
    ]
    ranks = sorted(int(unit.removeprefix("lora_r")) for unit in units)
    rows = rows_of(project, NAME, "untuned", "base")
    for rank in ranks:
        rows += rows_of(project, NAME, f"r={rank}", f"lora_r{rank}")
    parts = []
    for rank in ranks[1:]:
        over = lookup(project.summary, f"lora_r{rank}", "accuracy_over_lowest")
        word = "above" if over["value"] > 0 else "below"
        parts.append(
            f"r = {rank} is {word} r = {ranks[0]} by {GAIN.interval(over)}"
            if over["p"] < SIGNIFICANT
            else f"r = {rank} does not differ significantly from r = {ranks[0]}, "
            f"{GAIN.interval(over)}"
        )
    met = sum(c["met"] for c in project.verdict["criteria"])
    sentence = (
        f"With forty irregular verbs and a base of their own, paired by prompt and seed: "
        f"{'; '.join(parts)}. Of the mission's criteria it meets {met} of "
        f"{len(project.verdict['criteria'])}."
    )
    return rows, sentence


def draw(figure: Figure, evidence: Any, table: pd.DataFrame) -> None:
    """Accuracy against rank."""
    axes = figure.subplots()
    rows = table[(table["metric"] == "accuracy") & (table["item"] != "untuned")]
    ranks = [int(item.removeprefix("r=")) for item in rows["item"]]
    points(axes, ranks, rows["value"], rows, False, color=BLUE, linestyle="-")
    rank_axis(axes, ranks)
    axes.yaxis.set_major_formatter(SHARES)
    axes.set_ylabel("accuracy, forty irregular verbs")
