"""The verdict at a glance: what the judged adapter learnt, what it kept, and how small it is."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from minituner.analysis.summary import lookup
from minituner.analysis.wording import SHARE
from minituner.foundation.units import human
from minituner.reporting.style import BLUE, GREY

BARS = {
    "accuracy": "Learnt: irregular verbs right",
    "control_accuracy": "Kept: regular verbs right",
}


def verdict(summary: pd.DataFrame, run: str, adapter_bytes: int, base_bytes: int) -> Figure:
    """Accuracy on irregular and on regular verbs before and after, and both files as squares.

    Args:
        summary: see `summary.summary_table`.
        run: the judged adapter.
        adapter_bytes: of its files.
        base_bytes: of the base's.
    """
    figure = Figure(figsize=(11, 2.6))
    parts = [figure.add_axes((left, 0.04, 0.28, 0.78)) for left in (0.06, 0.375, 0.69)]
    for axes, (metric, title) in zip(parts, BARS.items(), strict=False):
        before_and_after(axes, [lookup(summary, unit, metric) for unit in ("base", run)])
        axes.set_title(title, loc="left", fontsize=13, fontweight="bold")
    as_squares(parts[-1], adapter_bytes, base_bytes)
    parts[-1].set_title("Small: the adapter's file", loc="left", fontsize=13, fontweight="bold")
    return figure


def before_and_after(axes: Axes, rows: list[pd.Series]) -> None:
    """Two bars, the base's above the adapter's, with their intervals and figures."""
    for place, row, color in zip((1, 0), rows, (GREY, BLUE), strict=True):
        value = float(row["value"])
        error = [[value - row["low"]], [row["high"] - value]]
        axes.barh(place, value, 0.7, color=color, xerr=error, ecolor="black")
        style = {"fontsize": 22, "fontweight": "bold", "color": color, "va": "center"}
        axes.text(float(row["high"]) + 0.03, place, SHARE._replace(digits=0).value(value), **style)
    axes.set_yticks([1, 0], ["before", "after"], fontsize=12)
    axes.set_xlim(0, 1.7)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def as_squares(axes: Axes, adapter: int, base: int) -> None:
    """The adapter's file in the base's, by area."""
    side = (adapter / base) ** 0.5
    axes.add_patch(Rectangle((0, 0), 1, 1, color=GREY, alpha=0.25, linewidth=0))
    axes.add_patch(Rectangle((0, 0), side, side, color=BLUE, linewidth=0))
    axes.text(0.5, 0.62, f"base\n{human(base)}", ha="center", va="center", fontsize=12)
    axes.plot([side, 1.03], [side / 2, side / 2], color=BLUE, linewidth=1)
    share = SHARE._replace(digits=2 if side < 0.3 else 0).value(adapter / base)
    axes.text(1.06, 0.3, share, color=BLUE, va="center", fontsize=22, fontweight="bold")
    axes.text(1.06, side / 2, human(adapter), va="center", fontsize=12)
    axes.set(xlim=(0, 1.6), ylim=(0, 1), aspect="equal", anchor="W")
    axes.axis("off")
