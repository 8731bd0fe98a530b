"""What all figures share: colours, fonts, a rank axis, and bytes that depend on the data alone."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from minituner.analysis.verdict import SOURCE_KEY
from minituner.foundation import storage

# Okabe & Ito (2008): told apart with every common kind of colour blindness, and in grey.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
DASHED = (0, (4, 3))
STYLE = {
    "font.family": "sans-serif",
    # The first is matplotlib's own; browsers that lack it get the next in an SVG.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.hashsalt": "minituner",  # else element ids are random
    "svg.fonttype": "none",
}


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Draw and save with these settings inside."""
    with matplotlib.rc_context(STYLE):
        yield


def save(figure: Figure, stem: Path, source: Path) -> None:
    """Write `stem`.png and `stem`.svg, both carrying the hash of the table they were drawn from.

    Neither carries a date or a version, which would change the bytes of an unchanged picture.
    """
    settle(figure)
    drawn_from = storage.sha256(source)
    with storage.atomic(stem.with_suffix(".png")) as temporary:
        metadata = {"Software": None, SOURCE_KEY: drawn_from}
        figure.savefig(temporary, format="png", dpi=150, metadata=metadata)
    with storage.atomic(stem.with_suffix(".svg")) as temporary:
        metadata = {"Date": None, "Creator": None, "Source": f"{SOURCE_KEY}={drawn_from}"}
        figure.savefig(temporary, format="svg", metadata=metadata)


def settle(figure: Figure) -> None:
    """Lay the figure out once, and keep its axes' places to four digits.

    The last digits of what the layout's solver finds differ between CPUs, and a coordinate of the
    SVG may then be rounded to another last digit.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(place, 4) for place in axes.get_position().bounds])


def rank_axis(axes: Axes, ranks: list[int]) -> None:
    """A base-2 logarithmic axis with the swept ranks as its only ticks."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ranks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel("rank")


def rank_shades(ranks: list[int]) -> dict[int, Any]:
    """A colour for each rank, dark to light; viridis keeps its order in grey too."""
    return {r: matplotlib.colormaps["viridis"](0.9 * i / len(ranks)) for i, r in enumerate(ranks)}
