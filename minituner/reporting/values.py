"""The figures that the pages quote, collected from the results as texts for people: name → text.

A result with an interval reads `99.5 % [99.1, 99.8]`. The names:

    test.UNIT.METRIC      UNIT of the summary: base, full, lora_r4 (every seed of the rank), …
    judged.METRIC         the one adapter that is judged; also judged.name and judged.rank
    judged_rank.METRIC    its rank over all seeds; `judged_qlora` that rank's QLoRA
    bar.NAME, done.N.es   a bar of the definition of done; whether one is met, in Spanish
    counts.REGIME.COLUMN  by formula; REGIME: full, lora_r1 or lora_r8_all (all Linears)
    memory.REGIME.COLUMN  measured
    verdict, table.NAME   whole tables in Markdown
"""

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from minituner.analysis.summary import lookup
from minituner.analysis.verdict import by_name, quantized, savings
from minituner.analysis.wording import LEVELS, label
from minituner.checkpoints.runs import parse_run
from minituner.corpus.verbs import PASTS
from minituner.foundation import storage
from minituner.foundation.parquet import read_frame
from minituner.reporting import markdown
from minituner.reporting.verdict_page import beside_table, criteria_table, trained_table

FIGURES = ("pareto.png", "curves.png")  # DVC holds them; the pages show a copy
COUNTED = ("weights", "gradients", "optimizer", "activations", "total")
Values = dict[str, str]


def of_summary(summary: pd.DataFrame, judged: str) -> Values:
    """Every metric on test of every unit over its seeds, and of the judged adapter."""
    rank = f"lora_r{parse_run(judged)['rank']}"
    aliases = {judged: "judged", rank: "judged_rank", f"q{rank}": "judged_qlora"}
    values = {}
    for row in summary[summary["split"] == "test"].to_dict("records"):
        unit, metric = row["unit"], row["metric"]
        if metric in LEVELS and (row["seeds"] > 0 or unit == judged):
            names = [aliases[unit]] if unit in aliases else []
            names += [f"test.{unit}"] if row["seeds"] > 0 else []
            values |= {f"{name}.{metric}": LEVELS[metric].interval(row) for name in names}
    return values


def regime_key(row: dict[str, Any]) -> str:
    """`full`, `lora_r1`, `qlora_r8_all`: a regime of the counts as part of a name."""
    if row["method"] == "full":
        return "full"
    return f"{row['method']}_r{row['rank']:.0f}" + "_all" * row["regime"].endswith("all Linears")


def of_counts(counts: pd.DataFrame) -> Values:
    """Parameters and bytes of every regime, by formula."""
    values = {}
    for row in counts.to_dict("records"):
        stem = f"counts.{regime_key(row)}"
        values[f"{stem}.trained"] = f"{row['trainable_parameters']:,}"
        values[f"{stem}.share"] = f"{row['trainable_percent']:.2f} %"
        values[f"{stem}.file"] = f"{row['file_percent']:.2f} %"
        if row["method"] != "full":
            values[f"{stem}.file_bytes"] = f"{row['adapter_bytes']:,.0f}"
        values |= {f"{stem}.{bucket}": f"{row[f'{bucket}_bytes']:,}" for bucket in COUNTED}
    return values


def of_memory(memory: pd.DataFrame, rank: int) -> Values:
    """What each regime's step held, what NF4 saves at a rank, and the table of both."""
    values, lines = {}, []
    rows = {regime_key(row): row for row in memory.to_dict("records")}
    for key, row in rows.items():
        cells = [f"{row[f'{bucket}_bytes_measured']:,}" for bucket in COUNTED]
        lines.append([row["regime"], *cells])
        values |= {f"memory.{key}.{b}": cell for b, cell in zip(COUNTED, cells, strict=True)}
        values[f"memory.{key}.linears"] = f"{row['linears_bytes_measured']:,}"
    if {f"lora_r{rank}", f"qlora_r{rank}"} <= rows.keys():  # else QLoRA has no run at that rank
        ratios = savings(memory, rank)
        values["memory.weights_saving"] = f"{ratios['weights']:.2f}"
        values["memory.weights_saving_16_bits"] = f"{ratios['weights'] / 2:.2f}"
        values["memory.linears_saving"] = f"{ratios['linears']:.2f}"
        values["memory.step_saving"] = f"{100 * (1 - 1 / ratios['total']):.1f}"
    differences = [
        abs(row[f"{bucket}_bytes_measured"] - row[f"{bucket}_bytes_predicted"])
        for row in rows.values()
        for bucket in COUNTED[:-1]
    ]
    values["memory.largest_difference"] = f"{max(differences):,}"
    table = markdown.table(["regime", *COUNTED], lines, "lrrrrr")
    values["table.memory"] = "\n".join(table)
    return values


def runs_table(values: Values, units: list[str]) -> str:
    """What each way to tune gains and forgets."""
    metrics = ("accuracy", "margin", "perplexity_drift", "control_accuracy")
    header = ["run", "accuracy", "margin, nats", "control drift", "control forms right"]
    rows = [[label(u), *(values[f"test.{u}.{metric}"] for metric in metrics)] for u in units]
    return "\n".join(markdown.table(header, rows, "lrrrr"))


def verbs_table(per_verb: pd.DataFrame, groups: list[str]) -> str:
    """How often the correct past wins on test, a verb a row, a group and tense a column."""
    irregular = per_verb[per_verb["set"] == "irregular"]
    accuracy = irregular.set_index(["group", "verb_lemma", "tense"])["accuracy"].to_dict()
    header = ["verb"]
    header += [f"{tense.replace('_', ' ')}, {label(g)}" for tense in PASTS for g in groups]
    rows = []
    for verb in sorted(set(irregular["verb_lemma"])):
        cells = [accuracy.get((group, verb, tense)) for tense in PASTS for group in groups]
        shown = ["–" if x is None else f"{x:.0%}".replace("%", " %") for x in cells]
        rows.append([verb, *shown])
    return "\n".join(markdown.table(header, rows, "l" + "r" * (len(header) - 1)))


def of_agreement(agreement: pd.DataFrame, judged: str) -> Values:
    """How far quantizing alone moves the logits, and with the judged adapter on top."""
    moved = quantized(agreement)
    values = {"agreement.none": f"{moved['none']:.3f}"}
    if judged in moved:
        values["agreement.judged"] = f"{moved[judged]:.3f}"
        values["agreement.ratio"] = f"{moved[judged] / moved['none']:.2f}"
    return values


def collect(bars: dict[str, Any], results: Path) -> Values:
    """All values by name, see above.

    Args:
        bars: the section `definition_of_done`.
        results: folder of the results.

    Raises:
        UserError: if a table is missing or cannot be read.
    """
    verdict = storage.read_json(results / "definition_of_done.json")
    criteria, judged = by_name(verdict), verdict["adapter"]["adapter"]
    rank = parse_run(judged)["rank"]
    summary = read_frame(results / "evaluate" / "summary.parquet")
    values = of_summary(summary, judged)
    values |= of_counts(read_frame(results / "counts" / "counts.parquet"))
    values |= of_memory(read_frame(results / "memory" / "memory.parquet"), rank)
    width, height = Image.open(storage.reading(results / "ablation.png")).size
    values |= {
        "judged.name": judged,
        "judged.rank": str(rank),
        "judged.seeds": str(lookup(summary, f"lora_r{rank}", "accuracy")["seeds"]),
        "judged.file": f"{100 * criteria['size']['values']['ratio']:.2f} %",
        "base.bytes": f"{(results / 'base' / 'model.safetensors').stat().st_size:,}",
        "bar.accuracy_gain": LEVELS["accuracy_gain"].value(bars["accuracy_gain"]),
        "bar.perplexity_drift": LEVELS["perplexity_drift"].value(bars["perplexity_drift"]),
        "bar.adapter_ratio": f"{100 * bars['adapter_ratio']:g} %",
        "bar.agreement": f"{bars['agreement']:g}",
        "ablation.size": f"{width} × {height}",
    }
    for number, criterion in enumerate(verdict["criteria"], 1):
        values[f"done.{number}.es"] = "sí" if criterion["met"] else "**NO**"
    values |= of_agreement(read_frame(results / "evaluate" / "agreement.parquet"), judged)
    units = sorted(
        {name.split(".")[1] for name in values if name.startswith("test.")},
        key=lambda unit: (list("bnflq").index(unit[0]), parse_run(unit)["rank"] or 0),
    )
    values["table.runs"] = runs_table(values, units)
    per_verb = read_frame(results / "evaluate" / "per_verb.parquet")
    values["table.verbs"] = verbs_table(per_verb, ["base", f"lora_r{rank}"])
    values["verdict"] = "\n".join(criteria_table(verdict))
    values["table.beside"] = "\n".join(beside_table(verdict))
    values["table.trained"] = "\n".join(trained_table(verdict))
    return values
