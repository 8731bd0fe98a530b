"""Every figure of the experiment, each as PNG and SVG with bytes that depend on the data alone."""

from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from minituner.analysis.summary import lookup
from minituner.foundation import progress, storage

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
SOURCE_KEY = "minituner-summary-sha256"


def save(figure: Figure, stem: Path, source: str) -> None:
    """Write `stem`.png and `stem`.svg, both carrying the hash of the summary they were drawn from.

    Neither carries a date or a version, which would change the bytes of an unchanged picture.
    """
    with storage.atomic(stem.with_suffix(".png")) as temporary:
        metadata = {"Software": None, SOURCE_KEY: source}
        figure.savefig(temporary, format="png", dpi=150, metadata=metadata)
    with storage.atomic(stem.with_suffix(".svg")) as temporary:
        metadata = {"Date": None, "Creator": None, "Source": f"{SOURCE_KEY}={source}"}
        figure.savefig(temporary, format="svg", metadata=metadata)


def series(summary: pd.DataFrame, method: str, ranks: list[int], metric: str) -> pd.DataFrame:
    """A metric's test value and interval for each rank of a method."""
    rows = [lookup(summary, f"{method}_r{rank}", metric) for rank in ranks]
    return pd.DataFrame(rows, columns=summary.columns)


def against_rank(axes: Axes, rows: pd.DataFrame, label: str, **style: Any) -> None:
    """Draw a metric against rank, with its interval as error bars."""
    value = rows["value"].astype(float)
    error = [value - rows["low"], rows["high"] - value]
    style = {"capsize": 3, "markersize": 5, "linewidth": 1.6} | style
    axes.errorbar(rows["rank"].astype(float), value, yerr=error, label=label, **style)


def rank_axis(axes: Axes, ranks: list[int]) -> None:
    """A base-2 logarithmic axis with the swept ranks as its only ticks."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ranks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel("rank")


def bar(axes: Axes, value: float, label: str) -> None:
    """A dashed line at a bar of the Definition of Done, with its meaning written above it."""
    axes.axhline(value, color=RED, linestyle=DASHED, linewidth=1.2, zorder=1)
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(label, (0.99, value), (0, 3), ha="right", color=RED, fontsize=9, **place)


def ablation(
    summary: pd.DataFrame, sizes: pd.DataFrame, sweep: dict[str, Any], bars: dict[str, Any]
) -> Figure:
    """Accuracy, margin, forgetting and size against rank, with the Definition of Done's bars."""
    ranks, qranks = sorted(sweep["ranks"]), sorted(sweep["qlora_ranks"])
    figure = Figure(figsize=(11, 7.6), layout="constrained")
    (top_left, top_right), (low_left, low_right) = figure.subplots(2, 2)
    lora = {"color": BLUE, "marker": "o"}
    qlora = {"color": ORANGE, "marker": "s", "linestyle": "none", "markerfacecolor": "white"}

    def both(axes: Axes, metric: str) -> None:
        against_rank(axes, series(summary, "lora", ranks, metric), "LoRA", **lora)
        against_rank(axes, series(summary, "qlora", qranks, metric), "QLoRA", **qlora)
        for unit, name, dots in (("full", "full fine-tuning", "-."), ("base", "base", ":")):
            row = lookup(summary, unit, metric)
            axes.axhline(row["value"], color=GREY, linestyle=dots, linewidth=1.2, label=name)
        rank_axis(axes, ranks)

    both(top_left, "accuracy")
    rows = series(summary, "lora", ranks, "exact_match")
    exact = {"color": GREEN, "marker": "^", "linestyle": "--"}
    against_rank(top_left, rows, "LoRA, exact match", **exact)
    base = lookup(summary, "base", "accuracy")["value"]
    gain = bars["accuracy_gain"]
    bar(top_left, base + gain, f"bar: base + {100 * gain:g} points")
    top_left.set_title("Irregular verbs: is the correct form preferred?", loc="left")
    top_left.set_ylabel("accuracy on test")
    top_left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))

    both(top_right, "margin")
    top_right.set_title("By how much? log P(correct form) − log P(best rival)", loc="left")
    top_right.set_ylabel("log-odds margin, nats")

    both(low_left, "perplexity_drift")
    bar(low_left, bars["perplexity_drift"], f"bar: {100 * bars['perplexity_drift']:+g} %")
    low_left.set_title("Regular control verbs: what is forgotten?", loc="left")
    low_left.set_ylabel("perplexity against the base")
    low_left.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:+g} %"))

    low_right.plot(sizes["rank"], sizes["ratio"], **lora)
    bar(low_right, bars["adapter_ratio"], f"bar: {100 * bars['adapter_ratio']:g} %")
    low_right.set_yscale("log")
    low_right.set_title("Adapter file against base file", loc="left")
    low_right.set_ylabel("size on disk")
    low_right.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    rank_axis(low_right, ranks)

    for axes in (top_left, top_right, low_left):
        axes.margins(y=0.1)  # room for what is written above a bar
    figure.legend(*top_left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    seeds = len(sweep["seeds"])
    figure.suptitle(
        f"LoRA rank ablation: mean of {seeds} seeds, 95 % intervals over frames and seeds",
        x=0.01,
        ha="left",
        fontsize=12,
    )
    return figure


def rank_shades(ranks: list[int]) -> dict[int, Any]:
    """A colour for each rank, dark to light; viridis keeps its order in grey too."""
    return {r: matplotlib.colormaps["viridis"](0.9 * i / len(ranks)) for i, r in enumerate(ranks)}


def pareto(summary: pd.DataFrame, sweep: dict[str, Any], bars: dict[str, Any]) -> Figure:
    """What each method gains on irregular verbs against what it forgets of regular ones."""
    figure = Figure(figsize=(8.5, 5.2), layout="constrained")
    axes = figure.subplots()
    ranks = sorted(sweep["ranks"])
    shades = rank_shades(sorted({*ranks, *sweep["qlora_ranks"]}))
    units = [(f"lora_r{r}", f"LoRA r={r}", shades[r], "o") for r in ranks]
    units += [(f"qlora_r{r}", f"QLoRA r={r}", shades[r], "s") for r in sorted(sweep["qlora_ranks"])]
    units += [("full", "full fine-tuning", RED, "D"), ("nf4", "NF4 base, untuned", GREY, "v")]
    for unit, label, color, marker in units:
        x, y = (lookup(summary, unit, metric) for metric in ("perplexity_drift", "margin_gain"))
        axes.errorbar(
            x["value"],
            y["value"],
            xerr=[[x["value"] - x["low"]], [x["high"] - x["value"]]],
            yerr=[[y["value"] - y["low"]], [y["high"] - y["value"]]],
            color=color,
            marker=marker,
            markersize=8,
            markerfacecolor="white" if unit.startswith("qlora") else color,
            linestyle="none",
            elinewidth=1,
            label=label,
        )
    limit = bars["perplexity_drift"]
    axes.axvline(limit, color=RED, linestyle=DASHED, label=f"bar: {100 * limit:+g} % drift")
    axes.margins(x=0.05, y=0.1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:+g} %"))
    axes.set_xlabel("forgetting: control perplexity against the base (left is better)")
    axes.set_ylabel("gain in log-odds margin, nats (up is better)")
    axes.set_title("Gain against forgetting, with 95 % intervals", loc="left")
    figure.legend(loc="outside right center")
    return figure


def curves(by_run: dict[str, pd.DataFrame], sweep: dict[str, Any]) -> Figure:
    """Validation loss of every tuning run; a bold line is the mean over seeds."""
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    axes = figure.subplots()
    shades = rank_shades(sorted(sweep["ranks"]))
    groups = [(f"lora_r{r}", f"r={r}", shade, "-") for r, shade in shades.items()]
    groups.append(("full", "full fine-tuning", RED, "-."))
    for group, label, color, dash in groups:
        runs = [by_run[f"{group}_s{seed}"] for seed in sweep["seeds"]]
        for run in runs:
            axes.plot(run["step"], run["val_loss"], color=color, linewidth=0.6, alpha=0.4)
        mean = sum(run["val_loss"] for run in runs) / len(runs)
        axes.plot(runs[0]["step"], mean, color=color, linestyle=dash, linewidth=2, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("validation loss on the form, nats a symbol")
    axes.set_title("Tuning on irregular verbs, by rank", loc="left")
    axes.legend(fontsize=9, loc="best")
    return figure


def draw(settings: dict[str, Any], evaluate: Path, train: Path, base: Path, out: Path) -> None:
    """Write `ablation`, `pareto` and `curves` to `out`, each as PNG and SVG."""
    from minituner.checkpoints import checkpoint

    sweep, bars = settings["sweep"], settings["definition_of_done"]
    source = storage.sha256(evaluate / "summary.parquet")
    summary = storage.read_table(evaluate / "summary.parquet").to_pandas()
    whole = checkpoint.file_bytes(base)
    first = sweep["seeds"][0]
    sizes = pd.DataFrame(
        {"rank": r, "ratio": checkpoint.file_bytes(train / f"lora_r{r}_s{first}") / whole}
        for r in sorted(sweep["ranks"])
    )
    names = [f"lora_r{r}_s{s}" for r in sweep["ranks"] for s in sweep["seeds"]]
    names += [f"full_s{s}" for s in sweep["seeds"]]
    by_run = {name: pd.read_csv(storage.reading(train / name / "curve.csv")) for name in names}
    with matplotlib.rc_context(STYLE):
        figures = {
            "ablation": ablation(summary, sizes, sweep, bars),
            "pareto": pareto(summary, sweep, bars),
            "curves": curves(by_run, sweep),
        }
        for name in progress.bar(figures, "drawing", "figures"):
            save(figures[name], out / name, source)
