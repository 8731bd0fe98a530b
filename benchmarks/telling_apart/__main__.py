"""What a comparison of LoRA's ranks needs to tell one point apart: items, seeds, and pairing."""

import argparse
from pathlib import Path

import matplotlib.figure
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.telling_apart.measured import FIGURES, Measured, of_runs
from benchmarks.telling_apart.page import ITEMS, SEEDS, counted, page
from minituner.analysis.summary import read_runs
from minituner.foundation import storage
from minituner.reporting import style


def draw(measured: dict[str, Measured], path: Path) -> None:
    """Half width against items, unpaired and paired, with one seed and with several."""
    items = np.geomspace(min(ITEMS), max(ITEMS), 50)
    with style.applied():
        picture = matplotlib.figure.Figure(figsize=(9, 3.8), layout="constrained")
        for axes, (name, figure) in zip(picture.subplots(1, 2), FIGURES.items(), strict=True):
            for label, how, colour in (
                ("unpaired", measured[name].unpaired(), style.ORANGE),
                ("paired", measured[name].paired(), style.BLUE),
            ):
                for seeds, line in ((SEEDS[0], style.DASHED), (SEEDS[-1], "-")):
                    widths = [figure.factor * how.half_width(n, seeds) for n in items]
                    label_of_line = f"{label}, {counted(seeds, 'seed')}"
                    axes.plot(items, widths, color=colour, linestyle=line, label=label_of_line)
            axes.axhline(figure.factor * figure.apart, color=style.RED, linewidth=1)
            axes.set(xscale="log", yscale="log", xlabel="items", title=name)
            axes.set_ylabel(f"half width of the interval, {figure.unit}")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
                axis.set_minor_locator(NullLocator())
            axes.legend(fontsize=8)
        with storage.atomic(path) as temporary:
            picture.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


def main() -> None:
    """Estimate and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--page", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    measured = of_runs(read_runs(args.runs))
    draw(measured, args.page / "telling_apart.png")
    storage.write_text(args.page / "telling_apart.md", page(measured))


if __name__ == "__main__":
    main()
