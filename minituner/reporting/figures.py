"""Every figure of the experiment, each as PNG and SVG with bytes that depend on the data alone."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from minituner.analysis.summary import lookup
from minituner.reporting.style import (
    BLUE,
    DASHED,
    GREEN,
    GREY,
    ORANGE,
    RED,
    rank_axis,
    rank_shades,
)


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
