"""LoRA at every rank, QLoRA and full fine-tuning, along their training."""

from typing import Any

from matplotlib.figure import Figure

from minituner.reporting.style import DASHED, GREY, RED, rank_shades
from studies.drawing import PERCENT
from studies.results import Row, Scores, family, shown, significant, told
from studies.variants import METHODS

NAME, TITLE = "methods", "LoRA, QLoRA and full fine-tuning where they have gained the same"
FULL = "full fine-tuning"


def answer(evidence: Any) -> tuple[list[Row], str]:
    """What each costs at the same margin, and gains at the same drift."""
    scores: Scores = evidence.scores[METHODS]
    science = evidence.settings["science"]
    runs = list(dict.fromkeys(evidence.curves[METHODS]["variant"]))
    lowest = runs[0]
    highest = [run for run in runs if run.startswith("LoRA")][-1]
    named = dict.fromkeys((highest, *(run for run in runs if run.startswith("QLoRA")), FULL))
    others = [run for run in named if run != lowest]
    at_margin = ("margin", "drift", "form_drift", "control_accuracy")
    levels = [scores.row(NAME, run, m, run, at="margin") for run in runs for m in at_margin]
    gains = [
        scores.row(f"{NAME}_drift", f"{run}, at equal drift", "margin", run, at="drift")
        for run in runs
    ]
    stated = {
        (run, metric): scores.row(NAME, run, metric, run, lowest, at="margin")
        for run in others
        for metric in ("drift", "control_accuracy")
    }
    family(list(stated.values()))
    parts = []
    for run in others:
        two = (told(stated[run, metric]) for metric in ("drift", "control_accuracy"))
        parts.append(f"{run} against {lowest}: " + ", ".join(two))
    missed = [run for run in runs if not all(scores.reached[run, "margin"])]
    sentence = (
        f"Where the margin on validation first reaches {science['margin']:g} nats, "
        + "; ".join(parts)
        + "."
    )
    if missed:
        sentence += f" Not with every seed there: {', '.join(missed)}."
    full = stated[FULL, "drift"]
    least = min((row for row in levels if row["metric"] == "drift"), key=lambda row: row["value"])
    more = "more" if full["value"] > 0 else "less"
    sentence += (
        f" At the same gain full fine-tuning forgets {more} than {lowest}"
        if significant(full)
        else f" At the same gain full fine-tuning does not differ significantly from {lowest}"
    )
    sentence += f"; the least forgetful here is {least['item']}, {shown(least)}."
    return levels + gains + list(stated.values()), sentence


def draw(figure: Figure, evidence: Any, table: Any) -> None:
    """Drift against margin along training on validation, means over seeds."""
    axes = figure.subplots()
    curves = evidence.curves[METHODS]
    ranks = sorted({int(v.split("=")[1]) for v in curves["variant"].unique() if "=" in v})
    shades = rank_shades(ranks)
    for run in dict.fromkeys(curves["variant"]):
        mean = curves[curves["variant"] == run].groupby("step")[["drift", "margin"]].mean()
        color = shades[int(run.split("=")[1])] if "=" in run else RED
        dash = "--" if run.startswith("QLoRA") else "-"
        axes.plot(mean["margin"], mean["drift"], dash, color=color, label=run, marker=".")
    science = evidence.settings["science"]
    axes.axvline(science["margin"], color=GREY, linestyle=DASHED, linewidth=1)
    axes.axhline(science["drift"], color=GREY, linestyle=DASHED, linewidth=1)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set_xlabel("log-odds margin on validation, nats; training goes to the right")
    axes.set_ylabel("drift: control perplexity against the base")
    axes.legend(fontsize=8)
