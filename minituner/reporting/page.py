"""The page that shows it all: `report.html`, self-contained, the same bytes for the same results.

Everything on it is read from the tables and figures of the workflow; sentences are made of the
numbers (findings.py). No clock, host or path enters it, nor anything from outside; its one script,
panel.js, is allowed by its hash and cannot ask for anything.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from minituner.analysis import wording
from minituner.analysis.summary import lookup
from minituner.analysis.verdict import SOURCE_KEY
from minituner.budget.formula import BUCKETS
from minituner.checkpoints import runs
from minituner.foundation import storage
from minituner.foundation.parquet import read_frame
from minituner.foundation.units import human
from minituner.reporting import findings, page_hashes, panel, templates
from minituner.reporting.weight_figures import short

METRICS = ("accuracy", "exact_match", "margin", "control_accuracy", "perplexity_drift")


def image(path: Path) -> str:
    """A figure as a data URI."""
    kind = {".svg": "svg+xml", ".png": "png"}[path.suffix]
    return f"data:image/{kind};base64,{panel.encoded(path)}"


def label(unit: str) -> str:
    """`lora_r8` → `LoRA r = 8`."""
    return wording.label(unit, " = ") + (", untuned" if unit == "nf4" else "")


def methods(summary: pd.DataFrame, units: list[str], judged: str) -> list[dict[str, Any]]:
    """One row a method and rank: each metric's value and interval on test."""
    rows = []
    for unit in units:
        row: dict[str, Any] = {"label": label(unit), "judged": unit == judged}
        for metric in METRICS:
            number = lookup(summary, unit, metric)
            row[metric] = {key: float(number[key]) for key in ("value", "low", "high")}
        rows.append(row)
    return rows


def verb_cells(per_verb: pd.DataFrame, scored: pd.DataFrame, groups: dict[str, str]) -> list[dict]:
    """One row a verb and past tense: its form, the usual rival, and each method's mean log-odds.

    Args:
        per_verb: see `summary.per_verb_table`.
        scored: the base's evaluation, which says what the form's rivals are.
        groups: column → group of runs.
    """
    test = scored[(scored["split"] == "test") & scored["rival"].notna()]
    named = test.groupby(["verb_lemma", "tense"]).agg(
        form=("form", "first"), rival=("rival", lambda column: column.mode()[0])
    )
    keys = ["set", "verb_lemma", "tense"]
    wide = per_verb.pivot(index=keys, columns="group", values="margin").reset_index()
    rows = [
        {
            "verb": row["verb_lemma"],
            "tense": row["tense"].replace("_", " "),
            "irregular": row["set"] != "control",
            "untuned": row["set"] == "cell",
            **named.loc[(row["verb_lemma"], row["tense"])].to_dict(),
            **{name: float(row[group]) for name, group in groups.items() if group in row},
        }
        for _, row in wide.iterrows()
    ]
    order = {"past simple": 0, "past participle": 1}
    return sorted(rows, key=lambda r: (not r["irregular"], r["verb"], order.get(r["tense"], 2)))


def examples(completions: pd.DataFrame) -> list[dict[str, Any]]:
    """One row a prompt: what each method writes behind it, and how likely it finds the forms."""
    rows = []
    for _, group in completions.groupby("id", sort=False):
        first = group.iloc[0]
        row = {key: first[key] for key in ("prompt", "expected", "form", "set")}
        row["answers"] = [
            {
                "method": one["method"],
                "text": one["completion"],
                "right": f"{one['completion']} ".startswith((f"{one['form']} ", f"{one['form']}.")),
                **{key: one[key] for key in ("run", "form_p", "rival", "rival_p")},
            }
            for _, one in group.iterrows()
        ]
        rows.append(row)
    return rows


def first_directions(spectra: pd.DataFrame) -> dict[str, Any]:
    """For each layer and rank: the largest singular value and its share, means over seeds."""
    first = spectra[spectra["index"] == 1]
    means = first.groupby(["layer", "rank"])[["value", "share"]].mean()
    ranks = sorted(map(int, first["rank"].unique()))
    rows = [
        {"layer": short(layer), "cells": [means.loc[(layer, rank)].to_dict() for rank in ranks]}
        for layer in sorted(first["layer"].unique())
    ]
    return {"ranks": ranks, "rows": rows}


def context(settings: dict[str, Any], data: Path, results: Path) -> dict[str, Any]:
    """All that the template shows."""
    sweep = settings["sweep"]
    verdict = storage.read_json(results / "definition_of_done.json")
    judged = runs.parse_run(verdict["adapter"]["adapter"])
    group, ranks = judged["group"], sorted(sweep["ranks"])
    qrank = runs.nearest_rank(judged["rank"], sweep["qlora_ranks"])
    qgroup, lowest = f"qlora_r{qrank}", f"lora_r{ranks[0]}"
    summary = read_frame(results / "evaluate" / "summary.parquet")
    units = ["base", "nf4", *runs.groups("lora", ranks)]
    units += [*runs.groups("qlora", sorted(sweep["qlora_ranks"])), "full"]
    groups = {"base": "base", "lora": group, "qlora": qgroup, "full": "full"}
    scored = read_frame(results / "evaluate" / "runs" / "base.parquet")
    cells = verb_cells(read_frame(results / "evaluate" / "per_verb.parquet"), scored, groups)
    spectra = read_frame(results / "spectra" / "spectra.parquet")
    truncated = read_frame(results / "spectra" / "truncated.parquet")
    codes = read_frame(results / "codes" / "codes.parquet")
    calibration = read_frame(results / "calibration" / "calibration.parquet")
    memory = read_frame(results / "memory" / "memory.parquet")
    shown = [cell[name] for cell in cells for name in ("base", "lora", "qlora")]
    irregular = [cell for cell in cells if cell["irregular"] and not cell["untuned"]]
    return {
        "verdict": verdict,
        "judged": judged | {"label": label(group), "qlora": label(qgroup)},
        "seeds": len(sweep["seeds"]),
        "n_train": settings["subsets"]["train"],
        "n_batch": settings["tuning"]["batch_size"],
        "n_weights": int(codes["weights"].sum()),
        "accuracy": {
            unit: float(lookup(summary, name, "accuracy")["value"])
            for unit, name in {"base": "base", "judged": verdict["adapter"]["adapter"]}.items()
        },
        "headline": storage.read_json(results / "metrics.json"),
        "methods": methods(summary, units, group),
        "cells": cells,
        "scale": (min(0.0, *shown), max(0.0, *shown)),
        "hardest": sorted(irregular, key=lambda cell: cell["base"])[:2],
        "control_form": next(cell["form"] for cell in cells if not cell["irregular"]),
        "panel": panel.content(data, results, sweep, judged, scored),
        "examples": examples(read_frame(results / "completions" / "completions.parquet")),
        "counts": read_frame(results / "counts" / "counts.parquet").to_dict("records"),
        "memory": memory.to_dict("records"),
        "buckets": BUCKETS,
        "codes": codes.to_dict("records"),
        "directions": first_directions(spectra),
        "figures": {
            name: image(results / path)
            for name, path in {
                "verdict": "verdict.svg",
                "ablation": "ablation.svg",
                "pareto": "pareto.svg",
                "curves": "curves.svg",
                "codes": "codes/codes.svg",
                "spectra": "spectra/spectra.svg",
                "calibration": "calibration/calibration.svg",
            }.items()
        },
        "findings": {
            "ablation": [
                findings.against_rank(summary, ranks, metric)
                for metric in ("accuracy", "margin", "perplexity_drift")
            ],
            "pareto": [
                findings.compared(
                    summary, "full", lowest, ("Full fine-tuning at its rate", label(lowest))
                ),
                findings.compared(summary, qgroup, f"lora_r{qrank}", (label(qgroup), "LoRA")),
            ],
            "verbs": [findings.verbs(cells)],
            "memory": [findings.memory(memory, qrank)],
            "codes": [findings.codes(codes, summary)],
            "calibration": [findings.calibration(calibration)],
            "spectra": findings.spectra(spectra, truncated, summary),
        },
        "provenance": page_hashes.provenance(settings, data, results),
        "settings": json.dumps(settings, indent=2),
        "source": f"{SOURCE_KEY}={storage.sha256(results / 'evaluate' / 'summary.parquet')}",
    }


def render(values: dict[str, Any]) -> str:
    """The page, made of the template; an unknown name in that is an error."""
    environment = templates.environment(autoescape=True)
    shown = {
        "percent": findings.percent,
        "signed_percent": findings.signed_percent,
        "nats": findings.nats,
        "human": human,
        "at": lambda x, scale: f"{100 * (x - scale[0]) / (scale[1] - scale[0]):.2f}",
    }
    environment.filters |= shown
    environment.globals |= shown
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    script = (templates.FOLDER / "panel.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values = values | {"script": script, "script_hash": f"sha256-{digest}"}
    return environment.get_template("page.html.j2").render(values)
