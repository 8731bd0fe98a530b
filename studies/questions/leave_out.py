"""A verb that tuning never showed."""

from typing import Any

from matplotlib.figure import Figure

from minituner.reporting.style import BLUE, GREY
from studies.drawing import POINTS, points, rows_of
from studies.results import Row, Scores, family, significant, told
from studies.variants import TASKS

NAME, TITLE = "leave_out", "Is a verb repaired that tuning never showed?"


def answer(evidence: Any) -> tuple[list[Row], str]:
    """Each verb as scored by the run that never saw it, against the base and the standard run."""
    scores: Scores = evidence.scores[TASKS]
    first = scores.seeds[0]
    lemmas = scores.table("standard", "end", first)["verb_lemma"].unique()
    verbs = sorted(v for v in lemmas if f"without_{v}|{first}" in scores.tables["end"])
    pooled = {}
    for seed in scores.seeds:
        table = scores.table("standard", "end", seed).copy()
        for verb in verbs:
            rows = table["verb_lemma"] == verb
            table.loc[rows] = scores.table(f"without_{verb}", "end", seed).loc[rows]
        pooled[seed] = table
    scores.add("without", "end", pooled)
    gain = scores.row(NAME, "all", "accuracy", "without", "base")
    cost = scores.row(NAME, "all", "accuracy", "without", "standard")
    each = [
        scores.row(NAME, verb, "accuracy", f"without_{verb}", "base", verb=verb) for verb in verbs
    ]
    family([gain, cost, *each])
    better = [row["item"] for row in each if significant(row) and row["value"] > 0]
    worse = [row["item"] for row in each if significant(row) and row["value"] < 0]
    verdict = "is not repaired"
    if significant(gain):
        part = " in part" if significant(cost) and cost["value"] < 0 else ""
        verdict = f"is repaired{part}" if gain["value"] > 0 else "is harmed"
    n = len(verbs)
    sentence = (
        f"A verb left out of tuning {verdict} by tuning on the other {n - 1}: against the base, "
        f"{told(gain)}; against tuning on all {n}, {told(cost)}. Verb by verb, accuracy rises for "
        f"{', '.join(better) or 'none'} and falls for {', '.join(worse) or 'none'}."
    )
    return [gain, cost, *each], sentence


def draw(figure: Figure, evidence: Any, table: Any) -> None:
    """Accuracy gain of each verb when tuning never showed it."""
    axes = figure.subplots()
    rows = rows_of(table, "accuracy", "base")
    places = range(len(rows))[::-1]
    points(axes, rows["value"], places, rows, True, color=BLUE)
    axes.set_yticks(places, rows.index)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.xaxis.set_major_formatter(POINTS)
    axes.set_xlabel("accuracy of a verb left out of tuning, points above the base")
