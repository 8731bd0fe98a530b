"""The further studies as one page of five panels."""

from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from minituner.reporting.style import BLUE, GREEN, GREY, ORANGE, RED

POINTS = FuncFormatter(lambda x, _: f"{100 * x:+g}")
PERCENT = FuncFormatter(lambda x, _: f"{100 * x:+g} %")


def rows_of(table: pd.DataFrame, study: str, metric: str, against: str = "") -> pd.DataFrame:
    """A study's test rows of one metric, by item."""
    wanted = {"study": study, "metric": metric, "against": against, "split": "test"}
    return table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)].set_index("item")


def points(axes: Axes, x: Any, y: Any, rows: pd.DataFrame, across: bool, **style: Any) -> None:
    """Values with their intervals; `across` lays them along x."""
    error = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
    side = {"xerr": error} if across else {"yerr": error}
    style = {"marker": "o", "linestyle": "none", "capsize": 3} | style
    axes.errorbar(x, y, **side, **style)


def verbs_panel(axes: Axes, table: pd.DataFrame, settings: dict[str, Any]) -> None:
    """Accuracy gain of each verb when tuning never showed it."""
    rows = rows_of(table, "leave_one_verb_out", "accuracy", "base")
    places = range(len(rows))[::-1]
    points(axes, rows["value"], places, rows, True, color=BLUE)
    axes.set_yticks(places, rows.index)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.xaxis.set_major_formatter(POINTS)
    axes.set_xlabel("accuracy of a verb left out of tuning,\npoints above the base")


def examples_panel(axes: Axes, table: pd.DataFrame, settings: dict[str, Any]) -> None:
    """Accuracy gain against the number of sentences."""
    rows = rows_of(table, "examples", "accuracy", "base")
    sizes = rows.index.astype(int)
    points(axes, sizes, rows["value"], rows, False, color=BLUE, linestyle="-")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, rows.index)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(settings["definition_of_done"]["accuracy_gain"], color=RED, linestyle="--")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(POINTS)
    axes.set_xlabel("sentences to tune on (dashed: the bar)")
    axes.set_ylabel("accuracy, points above the base")


def loss_panel(axes: Axes, table: pd.DataFrame, settings: dict[str, Any]) -> None:
    """Gain against forgetting for both losses."""
    margins = rows_of(table, "loss", "margin", "base")
    drifts = rows_of(table, "loss", "drift")
    for color, item in zip((BLUE, GREEN), margins.index, strict=True):
        margin, drift = margins.loc[[item]], drifts.loc[[item]]
        points(axes, drift["value"], margin["value"], drift, True, color=color, label=item)
        points(axes, drift["value"], margin["value"], margin, False, color=color)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(PERCENT)
    axes.set_xlabel("control perplexity against the base")
    axes.set_ylabel("log-odds margin, nats above the base")
    axes.margins(0.25)
    axes.legend(title="loss on the")


def rates_panel(axes: Axes, table: pd.DataFrame, settings: dict[str, Any]) -> None:
    """Margin against learning rate for each rank."""
    science = settings["science"]
    rows = rows_of(table, "learning_rate", "margin", "base")
    shades = matplotlib.colormaps["viridis"]
    for i, rank in enumerate(science["ranks"]):
        at_rank = rows.loc[[f"r={rank}, {rate:g}" for rate in science["learning_rates"]]]
        color = shades(0.8 * i / max(1, len(science["ranks"]) - 1))
        x = [rate * (1 + 0.04 * i) for rate in science["learning_rates"]]
        points(
            axes, x, at_rank["value"], at_rank, False, color=color, linestyle="-", label=f"r={rank}"
        )
    axes.set_xscale("log")
    axes.set_xticks(science["learning_rates"], [f"{r:g}" for r in science["learning_rates"]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("learning rate")
    axes.set_ylabel("log-odds margin, nats above the base")
    axes.legend()


def methods_panel(axes: Axes, table: pd.DataFrame, settings: dict[str, Any]) -> None:
    """What each method forgets where all reach the wanted accuracy."""
    rows = rows_of(table, "methods", "drift")
    for place, (color, (_, row)) in enumerate(
        zip((BLUE, ORANGE, RED), rows.iterrows(), strict=True)
    ):
        points(axes, [place], [row["value"]], rows.iloc[[place]], False, color=color)
    axes.set_xticks(range(len(rows)), rows.index)
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set_ylabel("control perplexity against the base")


PANELS = {
    "A verb that tuning never showed": verbs_panel,
    "How much data?": examples_panel,
    "Which loss?": loss_panel,
    "Which learning rate?": rates_panel,
    "Forgetting at equal accuracy": methods_panel,
}


def draw(table: pd.DataFrame, settings: dict[str, Any]) -> Figure:
    """The five studies as panels of one figure."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    grid = figure.subplots(2, 3).flat
    for axes, (title, panel) in zip(grid, PANELS.items(), strict=False):
        panel(axes, table, settings)
        axes.set_title(title, loc="left")
    grid[-1].set_axis_off()
    percent = 100 * settings["evaluate"]["confidence"]
    figure.suptitle(
        f"Further studies: mean over seeds on test, {percent:g} % intervals over pairs and seeds",
        x=0.01,
        ha="left",
        fontsize=12,
    )
    return figure
