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

import re
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from minituner.analysis.summary import lookup, parse_run
from minituner.corpus.verbs import PASTS
from minituner.foundation import storage

FIGURES = ("pareto.png", "curves.png")  # DVC holds them; the pages show a copy

# metric → the format of the value and of each end of its interval, its factor, its unit
_SHARE, _POINTS, _PERPLEXITY = ("{:.1f}", 100, " %"), ("{:+.1f}", 100, ""), ("{:.3f}", 1, "")
FORMATS = {
    "accuracy": _SHARE,
    "exact_match": _SHARE,
    "probe_accuracy": _SHARE,
    "control_accuracy": _SHARE,
    "accuracy_gain": _POINTS,
    "probe_accuracy_gain": _POINTS,
    "margin": ("{:.2f}", 1, ""),
    "margin_gain": ("{:+.2f}", 1, ""),
    "perplexity": _PERPLEXITY,
    "form_perplexity": _PERPLEXITY,
    "perplexity_drift": ("{:+.2f}", 100, " %"),
    "form_perplexity_drift": ("{:+.1f}", 100, " %"),
}
COUNTED = ("weights", "gradients", "optimizer", "activations", "total")


def with_interval(metric: str, row: Any) -> str:
    """A row of the summary as text: the value, its unit, and the interval in the same unit."""
    form, factor, unit = FORMATS[metric]
    value, low, high = (form.format(factor * row[key]) for key in ("value", "low", "high"))
    return f"{value}{unit} [{low}, {high}]"


def of_summary(summary: pd.DataFrame, judged: str) -> dict[str, str]:
    """Every metric on test of every unit over its seeds, and of the judged adapter."""
    rank = f"lora_r{parse_run(judged)['rank']}"
    aliases = {judged: "judged", rank: "judged_rank", f"q{rank}": "judged_qlora"}
    found = {}
    for row in summary[summary["split"] == "test"].to_dict("records"):
        unit, metric = row["unit"], row["metric"]
        if metric in FORMATS and (row["seeds"] > 0 or unit == judged):
            names = [aliases[unit]] if unit in aliases else []
            names += [f"test.{unit}"] if row["seeds"] > 0 else []
            found |= {f"{name}.{metric}": with_interval(metric, row) for name in names}
    return found


def regime_key(row: dict[str, Any]) -> str:
    """`full`, `lora_r1`, `qlora_r8_all`: a regime of the counts as part of a name."""
    if row["method"] == "full":
        return "full"
    return f"{row['method']}_r{row['rank']:.0f}" + "_all" * row["regime"].endswith("all Linears")


def of_counts(counts: pd.DataFrame) -> dict[str, str]:
    """Parameters and bytes of every regime, by formula."""
    found = {}
    for row in counts.to_dict("records"):
        stem = f"counts.{regime_key(row)}"
        found[f"{stem}.trained"] = f"{row['trainable_parameters']:,}"
        found[f"{stem}.share"] = f"{row['trainable_percent']:.2f} %"
        found[f"{stem}.file"] = f"{row['file_percent']:.2f} %"
        if row["method"] != "full":
            found[f"{stem}.file_bytes"] = f"{row['adapter_bytes']:,.0f}"
        found |= {f"{stem}.{bucket}": f"{row[f'{bucket}_bytes']:,}" for bucket in COUNTED}
    return found


def of_memory(memory: pd.DataFrame, rank: int) -> dict[str, str]:
    """What each regime's step held, what NF4 saves at a rank, and the table of both."""
    found, lines = {}, ["| regime | weights | gradients | optimizer | activations | total |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    rows = {regime_key(row): row for row in memory.to_dict("records")}
    for key, row in rows.items():
        cells = [f"{row[f'{bucket}_bytes_measured']:,}" for bucket in COUNTED]
        lines.append(f"| {' | '.join([row['regime'], *cells])} |")
        found |= {f"memory.{key}.{b}": cell for b, cell in zip(COUNTED, cells, strict=True)}
        found[f"memory.{key}.linears"] = f"{row['linears_bytes_measured']:,}"
    if {f"lora_r{rank}", f"qlora_r{rank}"} <= rows.keys():  # else QLoRA has no run at that rank
        for part in ("weights", "linears"):
            lora, qlora = (
                rows[f"{m}_r{rank}"][f"{part}_bytes_measured"] for m in ("lora", "qlora")
            )
            found[f"memory.{part}_saving"] = f"{lora / qlora:.2f}"
    differences = [
        abs(row[f"{bucket}_bytes_measured"] - row[f"{bucket}_bytes_predicted"])
        for row in rows.values()
        for bucket in COUNTED[:-1]
    ]
    found["memory.largest_difference"] = f"{max(differences):,}"
    found["table.memory"] = "\n".join(lines)
    return found


def runs_table(values: dict[str, str], units: list[str]) -> str:
    """What each way to tune gains and forgets."""
    metrics = ("accuracy", "margin", "perplexity_drift", "control_accuracy")
    lines = ["| run | accuracy | margin, nats | control drift | control forms right |"]
    lines.append("|---|--:|--:|--:|--:|")
    for unit in units:
        cells = [values[f"test.{unit}.{metric}"] for metric in metrics]
        lines.append(f"| {' | '.join([_title(unit), *cells])} |")
    return "\n".join(lines)


def verbs_table(per_verb: pd.DataFrame, groups: list[str]) -> str:
    """How often the correct past wins on test, a verb a row, a group and tense a column."""
    kept = per_verb[(per_verb["set"] == "irregular") & ~per_verb["probe"]]
    cells = kept.set_index(["group", "verb_lemma", "tense"])["accuracy"].to_dict()
    heads = [f"{tense.replace('_', ' ')}, {_title(g)}" for tense in PASTS for g in groups]
    lines = [f"| {' | '.join(['verb', *heads])} |", "|---|" + "--:|" * len(heads)]
    for verb in sorted(set(kept["verb_lemma"])):
        keys = [(group, verb, tense) for tense in PASTS for group in groups]
        texts = [f"{cells[key]:.0%}".replace("%", " %") if key in cells else "–" for key in keys]
        lines.append(f"| {' | '.join([verb, *texts])} |")
    return "\n".join(lines)


def _title(unit: str) -> str:
    fields = parse_run(unit)
    titles = {"base": "base", "nf4": "NF4 base", "full": "full fine-tuning"}
    method = {"lora": "LoRA", "qlora": "QLoRA"}.get(fields["method"])
    return f"{method} r={fields['rank']}" if method else titles[unit]


def collect(settings: dict[str, Any], results: Path) -> dict[str, str]:
    """All values by name, see above.

    Raises:
        UserError: if a table is missing or cannot be read.
    """
    tables = {
        name: storage.read_table(results / f"{name}.parquet").to_pandas()
        for name in (
            "evaluate/summary", "evaluate/per_verb", "evaluate/agreement",
            "counts/counts", "memory/memory",
        )
    }  # fmt: skip
    verdict = storage.read_json(results / "definition_of_done.json")
    judged = verdict["adapter"]["adapter"]
    rank = parse_run(judged)["rank"]
    summary = tables["evaluate/summary"]
    values = of_summary(summary, judged)
    values |= of_counts(tables["counts/counts"])
    values |= of_memory(tables["memory/memory"], rank)

    bars = settings["definition_of_done"]
    width, height = Image.open(storage.reading(results / "ablation.png")).size
    values |= {
        "judged.name": judged,
        "judged.rank": str(rank),
        "judged.seeds": str(lookup(summary, f"lora_r{rank}", "accuracy")["seeds"]),
        "judged.file": f"{100 * verdict['criteria'][4]['values']['ratio']:.2f} %",
        "base.bytes": f"{(results / 'base' / 'model.safetensors').stat().st_size:,}",
        "bar.accuracy_gain": f"{100 * bars['accuracy_gain']:+.1f}",
        "bar.perplexity_drift": f"{100 * bars['perplexity_drift']:+.2f} %",
        "bar.adapter_ratio": f"{100 * bars['adapter_ratio']:g} %",
        "bar.agreement": f"{bars['agreement']:g}",
        "ablation.size": f"{width} × {height}",
    }
    for number, criterion in enumerate(verdict["criteria"], 1):
        values[f"done.{number}.es"] = "sí" if criterion["met"] else "**NO**"
    agreement = tables["evaluate/agreement"]
    moved = dict(zip(agreement["adapter"].fillna("none"), agreement["mean_abs"], strict=True))
    values["agreement.none"] = f"{moved['none']:.3f}"
    if judged in moved:
        values["agreement.judged"] = f"{moved[judged]:.3f}"
        values["agreement.ratio"] = f"{moved[judged] / moved['none']:.2f}"

    units = sorted(
        {name.split(".")[1] for name in values if name.startswith("test.")},
        key=lambda unit: (list("bnflq").index(unit[0]), parse_run(unit)["rank"] or 0),
    )
    values["table.runs"] = runs_table(values, units)
    values["table.verbs"] = verbs_table(tables["evaluate/per_verb"], ["base", f"lora_r{rank}"])
    shown = storage.reading(results / "definition_of_done.md").read_text(encoding="utf-8")
    values["verdict"] = "\n".join(re.findall(r"(?m)^\|.*", shown))
    return values


def write(settings: dict[str, Any], results: Path, out: Path) -> None:
    """Write the values, and the hashes of the figures that pages show, to `out` as JSON."""
    figures = {name: storage.sha256(storage.reading(results / name)) for name in FIGURES}
    storage.write_json(out, {"figures": figures, "values": collect(settings, results)})
