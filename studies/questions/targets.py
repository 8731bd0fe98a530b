"""Which Linears get an update, at equally many trained parameters."""

from typing import Any

from matplotlib.figure import Figure

from minituner.reporting.style import BLUE
from studies.drawing import points, rows_of
from studies.results import Row, Scores, family, told
from studies.variants import PLACES, TARGETS

NAME, TITLE = "targets", "Where should the parameters go?"


def answer(evidence: Any) -> tuple[list[Row], str]:
    """The margin at equal drift of each choice of Linears, at its best rate."""
    scores: Scores = evidence.scores[TARGETS]
    science = evidence.settings["science"]
    best = {}
    for place in PLACES:
        by_rate = {rate: f"{place}, {rate:g}" for rate in science["target_rates"]}
        best[place] = by_rate[evidence.best(TARGETS, by_rate)]
    first, *others = PLACES
    levels = [scores.row(NAME, place, "margin", best[place], at="drift") for place in PLACES]
    rows = family(
        [
            scores.row(NAME, place, "margin", best[place], best[first], at="drift")
            | {"against": first}
            for place in others
        ]
    )
    ranks = ", ".join(f"r = {rank} on {place}" for place, (_, rank) in PLACES.items())
    said = "; ".join(f"{row['item']} against {first}: {told(row)}" for row in rows)
    rates = ", ".join(name.rpartition(", ")[2] for name in best.values())
    return levels + rows, (
        f"With as many trained parameters ({ranks}; within 3 % of each other) and each at its best "
        f"rate ({rates}), at a drift of {100 * science['drift']:g} %: {said}."
    )


def draw(figure: Figure, evidence: Any, table: Any) -> None:
    """Margins at equal drift."""
    axes = figure.subplots()
    rows = rows_of(table, "margin")
    points(axes, range(len(rows)), rows["value"], rows, False, color=BLUE)
    axes.set_xticks(range(len(rows)), rows.index)
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_ylabel("log-odds margin at equal drift, nats")
