"""A run's results as a block of its README, so that its words are the numbers'."""

from pathlib import Path

import pandas as pd

from minituner.analysis.summary import lookup
from minituner.checkpoints.runs import judged
from minituner.foundation import storage
from minituner.foundation.parquet import read_frame
from minituner.reporting import markdown
from minituner.reporting.verdict_page import criteria_table

# metric → (heading, how to show it)
SHOWN = {
    "accuracy": ("prefers the correct form", "{:.1%}"),
    "exact_match": ("writes it", "{:.1%}"),
    "margin": ("log-odds margin, nats", "{:+.2f}"),
    "perplexity_drift": ("control perplexity", "{:+.1%}"),
}


def block(results: Path) -> str:
    """The finding, what each method does, verb by verb, and the verdict."""
    run = judged(results)
    summary = read_frame(results / "evaluate" / "summary.parquet")
    base, tuned, gain, drift = (
        lookup(summary, unit, metric)
        for unit, metric in (
            ("base", "accuracy"), (run, "accuracy"), (run, "accuracy_gain"),
            (run, "perplexity_drift"),
        )
    )  # fmt: skip
    units = summary[(summary["seeds"] > 0) & (summary["split"] == "test")]["unit"].unique()
    by_unit = [
        [
            unit,
            *(
                form.format(lookup(summary, unit, metric)["value"])
                for metric, (_, form) in SHOWN.items()
            ),
        ]
        for unit in units
    ]
    by_verb = ["verb", "past", "the base's likeliest mistake", "base right", "adapter right"]
    verdict = storage.read_json(results / "definition_of_done.json")
    lines = [
        f"On held-out test sentences the base prefers the correct past of an irregular verb in "
        f"{base['value']:.0%} of the cases, the judged adapter (`{run}`) in {tuned['value']:.0%}: "
        f"{100 * gain['value']:+.1f} points [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]. "
        f"The regular verbs' perplexity moves by {drift['value']:+.1%} [{drift['low']:+.1%}, "
        f"{drift['high']:+.1%}].",
        "",
        *markdown.table(["", *(heading for heading, _ in SHOWN.values())], by_unit),
        "",
        *markdown.table(by_verb, verb_rows(results, run)),
        "",
        *criteria_table(verdict),
    ]
    return "\n".join(lines) + "\n"


def verb_rows(results: Path, run: str) -> list[tuple[str, ...]]:
    """One row a verb and tense: the wrong form most often preferred, and the shares right."""
    columns = ["verb_lemma", "tense", "set", "split", "form", "rival", "chosen"]
    base, tuned = (
        read_frame(results / "evaluate" / "runs" / f"{name}.parquet")[columns]
        for name in ("base", run)
    )
    base = base.assign(tuned=tuned["chosen"])
    held_out = base[(base["set"] == "irregular") & (base["split"] == "test")]
    rows = []
    for (verb, tense), cell in held_out.groupby(["verb_lemma", "tense"]):
        missed = cell[~cell["chosen"].astype(bool)]
        mistake = "none"
        if len(missed):
            pairs = pd.Series(list(zip(missed["rival"], missed["form"], strict=True)))
            counts = pairs.value_counts().items()
            (rival, form), _ = min(counts, key=lambda item: (-item[1], item[0]))
            mistake = f"*{rival}* for *{form}*"
        right = (cell[column].astype(float).mean() for column in ("chosen", "tuned"))
        rows.append((verb, tense, mistake, *(f"{share:.0%}" for share in right)))
    return rows
