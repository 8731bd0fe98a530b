"""The figures of weights: singular values of what LoRA learned, and the codes that NF4 gives."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from minituner.reporting.style import BLUE, GREY, ORANGE, rank_axis


def short(layer: str) -> str:
    """`blocks.2.attn.q_proj` → `2 q_proj`."""
    parts = layer.split(".")
    return f"{parts[1]} {parts[-1]}" if len(parts) > 2 else layer


def spectra(directions: pd.DataFrame, truncated: pd.DataFrame) -> Figure:
    """Singular values of the widest adapter, and the margin that each first direction carries."""
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    widest = int(directions["rank"].max())
    mean = directions[directions["rank"] == widest].groupby(["layer", "index"])["value"].mean()
    layers = sorted(mean.index.get_level_values("layer").unique())
    kinds = sorted({layer.rpartition(".")[2] for layer in layers})
    dashes = dict(zip(kinds, ["-", "--", ":", "-.", (0, (1, 1)), (0, (5, 1))], strict=False))
    depths = sorted({layer.rpartition(".")[0] for layer in layers})
    for layer in layers:
        shade = matplotlib.colormaps["viridis"](
            0.9 * depths.index(layer.rpartition(".")[0]) / len(depths)
        )
        line = dashes[layer.rpartition(".")[2]]
        values = mean[layer]
        left.plot(values.index, values, line, color=shade, linewidth=1.5, label=short(layer))
    left.set_xscale("log", base=2)
    left.xaxis.set_major_locator(FixedLocator([2**i for i in range(8) if 2**i <= widest]))
    left.xaxis.set_minor_locator(NullLocator())
    left.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    left.set_xlabel("direction, the largest first")
    left.set_ylabel("singular value of (α/r) B A")
    left.set_title(f"Each layer's update at rank {widest}", loc="left")
    left.legend(fontsize=8, ncols=2, title="block, Linear", title_fontsize=8)

    whole = truncated[(truncated["kept"] == truncated["rank"]) & (truncated["kept"] > 0)]
    ranks = sorted(map(int, whole["rank"].unique()))
    first = truncated[truncated["kept"] == 1]
    for rows, label, style in (
        (whole, "the whole adapter", {"color": BLUE, "marker": "o"}),
        (first, "its first direction alone", {"color": ORANGE, "marker": "s", "linestyle": "--"}),
    ):
        means = rows.groupby("rank")["margin"].mean()
        right.plot(rows["rank"], rows["margin"], ".", color=style["color"], alpha=0.35)
        right.plot(means.index, means, label=label, **style)
    base = truncated.loc[truncated["kept"] == 0, "margin"].mean()
    right.axhline(base, color=GREY, linestyle=":", linewidth=1.2, label="the base")
    rank_axis(right, ranks)
    right.set_ylabel("log-odds margin on test, nats")
    right.set_title("What the first direction carries", loc="left")
    right.margins(y=0.12)
    right.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 0.12))
    return figure


def codes(by_code: pd.DataFrame, histogram: pd.DataFrame) -> Figure:
    """The weights in units of their block's absmax, the code values, and how often each is used."""
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    top, low = figure.subplots(2, 1, height_ratios=(3, 2))
    total = histogram["weights"].sum()
    width = histogram["high"] - histogram["low"]
    top.bar(histogram["low"], histogram["weights"] / total, width, align="edge", color=BLUE)
    for value in by_code["value"]:
        top.axvline(value, color=ORANGE, linewidth=1.3)
    top.plot([], [], color=ORANGE, label="the 16 code values")
    top.set_xlim(-1.03, 1.03)
    top.set_xlabel("weight ÷ largest magnitude of its block")
    top.set_ylabel("share of weights")
    top.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    top.set_title("The base's weights and where NF4 has values for them", loc="left")
    top.legend(fontsize=9, loc="upper left", frameon=True, framealpha=1, edgecolor="none")
    low.bar(by_code["code"], by_code["weights"] / by_code["weights"].sum(), color=BLUE, width=0.8)
    low.axhline(1 / 16, color=GREY, linestyle="--", linewidth=1.2, label="all equally often")
    low.set_xticks(range(16), [f"{i}\n{v:.2f}" for i, v in enumerate(by_code["value"])], fontsize=8)
    low.set_xlabel("code and its value")
    low.set_ylabel("share of weights")
    low.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    low.grid(axis="x", visible=False)
    low.legend(fontsize=9, loc="upper left")
    return figure
