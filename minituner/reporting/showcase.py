"""A run's results written into a README between two markers, so that its words are the numbers'."""

from pathlib import Path

import pandas as pd

from minituner.analysis.summary import lookup
from minituner.foundation import storage
from minituner.foundation.errors import UserError

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
# metric → (heading, how to show it)
SHOWN = {
    "accuracy": ("prefers the correct form", "{:.1%}"),
    "exact_match": ("writes it", "{:.1%}"),
    "margin": ("log-odds margin, nats", "{:+.2f}"),
    "perplexity_drift": ("control perplexity", "{:+.1%}"),
}


def show(results: Path, page: Path) -> None:
    """Write the block of `page` anew from `results`.

    Raises:
        UserError: if the page lacks the markers.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise UserError(f"{page}: no block; write {BEGIN} and {END} where the results belong")
    before, _, rest = text.partition(BEGIN)
    behind = rest.partition(END)[2]
    storage.write_text(page, f"{before}{BEGIN}\n{block(results)}{END}{behind}")


def block(results: Path) -> str:
    """The finding, what each method does, verb by verb, and the verdict."""
    verdict = storage.read_json(results / "definition_of_done.json")
    run = verdict["adapter"]["adapter"]
    summary = storage.read_table(results / "evaluate" / "summary.parquet").to_pandas()
    base, tuned, gain, drift = (
        lookup(summary, unit, metric)
        for unit, metric in (
            ("base", "accuracy"), (run, "accuracy"), (run, "accuracy_gain"),
            (run, "perplexity_drift"),
        )
    )  # fmt: skip
    lines = [
        f"On held-out test sentences the base prefers the correct past of an irregular verb in "
        f"{base['value']:.0%} of the cases, the judged adapter (`{run}`) in {tuned['value']:.0%}: "
        f"{100 * gain['value']:+.1f} points [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]. "
        f"The regular verbs' perplexity moves by {drift['value']:+.1%} [{drift['low']:+.1%}, "
        f"{drift['high']:+.1%}].",
        "",
        "| | " + " | ".join(heading for heading, _ in SHOWN.values()) + " |",
        "|---|" + "---|" * len(SHOWN),
    ]
    units = summary[(summary["seeds"] > 0) & (summary["split"] == "test")]["unit"].unique()
    for unit in units:
        cells = [
            form.format(lookup(summary, unit, metric)["value"])
            for metric, (_, form) in SHOWN.items()
        ]
        lines.append(f"| {unit} | " + " | ".join(cells) + " |")
    lines += ["", "| verb | past | the base's likeliest mistake | base right | adapter right |"]
    lines += ["|---|---|---|---|---|", *verb_rows(results, run), ""]
    table = (results / "definition_of_done.md").read_text(encoding="utf-8")
    lines += [line for line in table.split("\n") if line.startswith("|")]
    return "\n".join(lines) + "\n"


def verb_rows(results: Path, run: str) -> list[str]:
    """One row a verb and tense: the wrong form most often preferred, and the shares right."""
    columns = ["verb_lemma", "tense", "set", "split", "form", "rival", "chosen"]
    base, tuned = (
        storage.read_table(results / "evaluate" / "runs" / f"{name}.parquet").to_pandas()[columns]
        for name in ("base", run)
    )
    base = base.assign(tuned=tuned["chosen"])
    rows = base[(base["set"] == "irregular") & (base["split"] == "test")]
    lines = []
    for (verb, tense), cell in rows.groupby(["verb_lemma", "tense"]):
        missed = cell[~cell["chosen"].astype(bool)]
        pair = "none"
        if len(missed):
            counts = pd.Series(list(zip(missed["rival"], missed["form"], strict=True)))
            rival, form = min(counts.value_counts().items(), key=lambda item: (-item[1], item[0]))[
                0
            ]
            pair = f"*{rival}* for *{form}*"
        right = (cell[column].astype(float).mean() for column in ("chosen", "tuned"))
        cells = (verb, tense, pair, *(f"{share:.0%}" for share in right))
        lines.append("| " + " | ".join(cells) + " |")
    return lines
