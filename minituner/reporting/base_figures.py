"""What the base learnt, drawn."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from minituner.analysis.habits import off
from minituner.reporting.style import BLUE, DASHED, GREY, ORANGE

MARKED = 4  # forms that lie furthest off and are named


def calibration(table: pd.DataFrame) -> Figure:
    """Each form's probability against its share of the corpus; on the line the habit is learnt."""
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    correct = table["form"] == table["correct_form"]
    for rows, label, color, marker in (
        (table[correct], "correct", BLUE, "o"),
        (table[~correct], "a mistake", ORANGE, "^"),
    ):
        style = {"linestyle": "none", "markersize": 6, "alpha": 0.8}
        axes.plot(rows["share"], rows["probability"], marker, color=color, label=label, **style)
    axes.axline((0, 0), slope=1, color=GREY, linestyle=DASHED, linewidth=1.2)
    apart = (table["probability"] - table["share"]).abs()
    for row in table.loc[apart.nlargest(MARKED).index].itertuples():
        place = {"textcoords": "offset points", "fontsize": 8, "color": GREY}
        axes.annotate(row.form, (row.share, row.probability), (6, 3), **place)
    axes.set_xlabel("share of the corpus, training sentences")
    axes.set_ylabel("the base's probability, new prompts")
    largest = 1.05 * table[["share", "probability"]].to_numpy().max()
    axes.set(xlim=(-0.02, largest), ylim=(-0.02, largest))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title(
        f"Irregular pasts: of 100 choices the base makes {100 * off(table):.0f} otherwise than "
        "the corpus",
        loc="left",
        fontsize=10,
    )
    axes.legend(title="a form that is", loc="upper left")
    return figure
