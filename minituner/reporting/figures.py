"""Every figure of the experiment, each as PNG and SVG with bytes that depend on the data alone."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from minituner.analysis.summary import lookup
from minituner.analysis.wording import SIGNIFICANT
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


# set of test sentences: what is new in it, and how it is drawn
LADDER = {
    "seen_accuracy": ("nothing: prompts that tuning saw", {"color": GREY, "marker": "."}),
    "accuracy": ("subject and time: the test", {"color": BLUE, "marker": "o"}),
    "subject_accuracy": ("and a subject never tuned on", {"color": GREEN, "marker": "^"}),
}


def percent(axes: Axes, sign: str = "") -> None:
    """Write an axis of shares in per cent."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:{sign}.4g} %"))


def ablation(
    summary: pd.DataFrame, sizes: pd.DataFrame, sweep: dict[str, Any], bars: dict[str, Any]
) -> Figure:
    """What a higher rank buys and costs, with the Definition of Done's bars."""
    ranks, qranks = sorted(sweep["ranks"]), sorted(sweep["qlora_ranks"])
    figure = Figure(figsize=(13.5, 7.8), layout="constrained")
    (ladder, paired, cell), (drift, control, size) = figure.subplots(2, 3)
    lora = {"color": BLUE, "marker": "o"}
    qlora = {"color": ORANGE, "marker": "s", "linestyle": "none", "markerfacecolor": "white"}
    metrics = set(summary["metric"])

    def both(axes: Axes, metric: str) -> None:
        against_rank(axes, series(summary, "lora", ranks, metric), "LoRA", **lora)
        against_rank(axes, series(summary, "qlora", qranks, metric), "QLoRA", **qlora)
        for unit, name, dots in (("full", "full fine-tuning", "-."), ("base", "base", ":")):
            row = lookup(summary, unit, metric)
            axes.axhline(row["value"], color=GREY, linestyle=dots, linewidth=1.2, label=name)
        rank_axis(axes, ranks)

    base, gain = lookup(summary, "base", "accuracy")["value"], bars["accuracy_gain"]
    for metric, (label, style) in LADDER.items():
        if metric in metrics:
            against_rank(ladder, series(summary, "lora", ranks, metric), label, **style)
    rank_axis(ladder, ranks)
    ladder.set_title("Irregular verbs: is the correct form preferred?", loc="left")
    ladder.set_ylabel(f"accuracy (base {base:.0%}, bar {base + gain:.0%} on test)")
    percent(ladder)
    ladder.legend(title="new in the sentence", fontsize=8, title_fontsize=8, loc="best")

    if len(ranks) > 1:
        rows = series(summary, "lora", ranks[1:], "accuracy_over_lowest")
        against_rank(paired, rows, f"LoRA against r = {ranks[0]}", **lora)
        open_ones = rows[rows["p"] >= SIGNIFICANT]
        style = {"markerfacecolor": "white", "markeredgecolor": BLUE, "zorder": 5}
        paired.plot(open_ones["rank"].astype(float), open_ones["value"], "o", **style)
    paired.axhline(0, color=GREY, linewidth=1.2)
    rank_axis(paired, ranks)
    paired.set_title(f"What a higher rank buys: accuracy above r = {ranks[0]}", loc="left")
    paired.set_ylabel("points, paired by prompt and seed\n(open: not significant)")
    paired.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:+g}"))

    if "cell_accuracy" in metrics:
        both(cell, "cell_accuracy")
    cell.set_title("Verbs in tenses that tuning never showed", loc="left")
    cell.set_ylabel("accuracy on new pairs")
    percent(cell)

    both(drift, "perplexity_drift")
    bar(drift, bars["perplexity_drift"], f"bar: {100 * bars['perplexity_drift']:+g} %")
    drift.set_title("Regular control verbs: what is forgotten?", loc="left")
    drift.set_ylabel("perplexity against the base")
    percent(drift, "+")

    both(control, "control_accuracy")
    control.set_title("Are their pasts still right?", loc="left")
    control.set_ylabel("accuracy on the control")
    percent(control)

    size.plot(sizes["rank"], sizes["ratio"], **lora)
    bar(size, bars["adapter_ratio"], f"bar: {100 * bars['adapter_ratio']:g} %")
    size.set_yscale("log")
    size.set_title("Adapter file against base file", loc="left")
    size.set_ylabel("size on disk")
    percent(size)
    rank_axis(size, ranks)

    for axes in (ladder, paired, cell, drift, control):
        axes.margins(y=0.1)  # room for what is written above a bar
    figure.legend(*drift.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    seeds = len(sweep["seeds"])
    figure.suptitle(
        f"LoRA rank ablation: mean of {seeds} seeds, 95 % intervals over pairs of subject and "
        "time and over seeds",
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
