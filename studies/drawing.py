"""What the studies' figures share."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

POINTS = FuncFormatter(lambda x, _: f"{100 * x:+g}")
PERCENT = FuncFormatter(lambda x, _: f"{100 * x:+g} %")
SHARES = FuncFormatter(lambda x, _: f"{100 * x:g} %")


def rows_of(table: pd.DataFrame, metric: str, against: str = "") -> pd.DataFrame:
    """A study's rows of one metric, by item."""
    return table[(table["metric"] == metric) & (table["against"] == against)].set_index("item")


def points(axes: Axes, x: Any, y: Any, rows: pd.DataFrame, across: bool, **style: Any) -> None:
    """Values with their intervals; `across` lays them along x."""
    error = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
    side = {"xerr": error} if across else {"yerr": error}
    style = {"marker": "o", "linestyle": "none", "capsize": 3} | style
    axes.errorbar(x, y, **side, **style)
