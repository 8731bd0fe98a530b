"""The judged adapter's model card, in the form of the Hugging Face hub: model_card.md.

YAML that machines read stands in front, then the sections of the hub's own template, which PEFT
uses too. All of it follows from the results and the settings: no clock, host or path enters it, nor
PyTorch's version, since each of them gives these bytes.
"""

import json
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from minituner.analysis import verdict as judging
from minituner.analysis.summary import lookup
from minituner.analysis.wording import LEVELS
from minituner.budget.formula import targets_of
from minituner.checkpoints import names, runs
from minituner.foundation import environment, parquet, storage
from minituner.foundation.units import human
from minituner.reporting import markdown, page_hashes, templates
from minituner.reporting.verdict_page import criteria_table, trained_table

# What the front matter holds of each test set: metric → its type there and its name.
MEASURED = {
    "irregular": {
        "accuracy": ("accuracy", "correct form above every wrong one"),
        "exact_match": ("exact_match", "correct form written"),
        "margin": ("log_odds_margin", "log-odds margin, nats"),
    },
    "control": {
        "control_accuracy": ("accuracy", "correct form above every wrong one"),
        "perplexity": ("perplexity", "perplexity a character"),
        "perplexity_drift": ("perplexity_drift", "drift of the perplexity against the base"),
    },
}
# The table of results: metric → what it is.
SHOWN = {
    "accuracy_gain": "irregular accuracy above the base, points",
    "exact_match": "irregular forms written by greedy decoding",
    "margin": "irregular log-odds margin, nats",
    "perplexity_drift": "drift of the perplexity of the regular verbs' sentences",
    **judging.BESIDE,
}
SECTIONS = ("corpus", "subsets", "model", "base", "lora", "tuning")  # of the settings shown
VERSIONS = [name for name in page_hashes.PACKAGES if name not in ("torch", "matplotlib")]


def on_test(summary: pd.DataFrame, unit: str, metric: str) -> str:
    """A metric of a run or group with its interval, or a dash where it was not measured."""
    rows = summary[(summary["split"] == "test") & (summary["unit"] == unit)]
    if metric not in set(rows["metric"]):
        return "–"
    return LEVELS[metric].interval(lookup(summary, unit, metric))


def metadata(
    run: str, summary: pd.DataFrame, hashes: dict[str, str], confidence: float
) -> dict[str, Any]:
    """The front matter: the fields that the hub documents, and those that PEFT writes.

    Args:
        run: the judged adapter's name.
        summary: see `summary.summary_table`.
        hashes: SHA-256 of each test set's file, by its name.
        confidence: of the intervals.
    """
    results = []
    for name, measured in MEASURED.items():
        metrics = [
            {
                "type": kind,
                "name": f"{what}, {100 * confidence:g} % interval: {on_test(summary, run, metric)}",
                "value": float(lookup(summary, run, metric)["value"]),
            }
            for metric, (kind, what) in measured.items()
        ]
        dataset = {"type": f"minituner-{name}", "name": f"minituner, {name} verbs"}
        results.append(
            {
                "task": {"type": "text-generation"},
                "dataset": dataset | {"split": "test", "revision": hashes[name]},
                "metrics": metrics,
            }
        )
    return {
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": "mit",
        "base_model": "results/base",
        "tags": ["base_model:adapter:results/base", "lora", "character-level", "reproducible"],
        "metrics": ["accuracy", "exact_match", "perplexity"],
        "model-index": [{"name": run, "results": results}],
    }


def files(settings: dict[str, Any], data: Path, results: Path, adapter: Path) -> dict[str, Path]:
    """What the card names by its hash: what it is → the file."""
    base = results / "base"
    made_from = ("file",) if settings["corpus"]["file"] else ("verbs", "templates")
    return {
        "adapter, weights": adapter / names.ADAPTER_FILE,
        "adapter, configuration": adapter / names.ADAPTER_CONFIG,
        "base, weights": base / names.MODEL_FILE,
        "base, configuration": base / names.CONFIG_FILE,
        **{f"corpus, {name}": Path(settings["corpus"][name]) for name in made_from},
        "corpus": data / "corpus.parquet",
        "irregular": data / "irregular.parquet",
        "control": data / "control.parquet",
    }


def results_table(summary: pd.DataFrame, run: str) -> list[str]:
    """What the base, the adapter and its rank over all seeds give on test, a line a metric."""
    group = runs.parse_run(run)["group"]
    seeds = lookup(summary, group, "accuracy")["seeds"]
    lines = [
        [what, *(on_test(summary, unit, metric) for unit in ("base", run, group))]
        for metric, what in SHOWN.items()
    ]
    header = ["on test [95 % interval]", "base", "this adapter", f"its rank over {seeds} seeds"]
    return markdown.table(header, [line for line in lines if line[2] != "–"])


def rows_of(path: Path, split: str, kind: str) -> pd.DataFrame:
    """The sentences of a subset that are of a split and set."""
    table = parquet.read_frame(path)
    return table[(table["split"] == split) & (table["set"] == kind)]


def context(settings: dict[str, Any], data: Path, results: Path) -> dict[str, Any]:
    """All that the template shows.

    Args:
        settings: the sections that `minituner card` reads.
        data: folder of the corpus and its subsets.
        results: folder of the results.

    Raises:
        UserError: if a table or an adapter is missing or cannot be read.
    """
    verdict = storage.read_json(results / "definition_of_done.json")
    run = verdict["adapter"]["adapter"]
    fields = runs.parse_run(run)
    adapter = Path(runs.adapter_folder(run, str(results)))
    summary = parquet.read_frame(results / "evaluate" / "summary.parquet")
    counts = parquet.read_frame(results / "counts" / "counts.parquet")
    tuned = ",".join(targets_of(settings["lora"]["target_modules"]))
    keys = ["method", "rank", "target_modules"]
    regime = counts.set_index(keys).loc[("lora", fields["rank"], tuned)]
    named = files(settings, data, results, adapter)
    hashes = {what: storage.sha256(storage.reading(path)) for what, path in named.items()}
    irregular, control = data / "irregular.parquet", data / "control.parquet"
    prompt = rows_of(irregular, "test", "irregular")["prompt"].iloc[0]
    adapter_bytes, base_bytes = names.file_bytes(adapter), names.file_bytes(results / "base")
    front = metadata(run, summary, hashes, settings["evaluate"]["confidence"])
    return {
        "metadata": as_yaml(front),
        "run": run,
        "rank": fields["rank"],
        "seed": fields["seed"],
        "adapter": adapter.as_posix(),
        "verdict": verdict,
        "missed": [row for row in verdict["criteria"] if not row["met"]],
        "settings": settings,
        "shown_settings": as_yaml({name: settings[name] for name in SECTIONS}),
        "files": markdown.table(
            ["what", "file", "SHA-256"],
            [[what, f"`{path.as_posix()}`", f"`{hashes[what]}`"] for what, path in named.items()],
        ),
        "hashes": hashes,
        "prompt": json.dumps(prompt, ensure_ascii=False),
        "quoted_prompt": shlex.quote(prompt),
        "n_train": len(rows_of(irregular, "train", "irregular")),
        "n_test": len(rows_of(irregular, "test", "irregular")),
        "n_control": len(rows_of(control, "test", "control")),
        "trained_parameters": f"{regime['trainable_parameters']:,.0f}",
        "trained_share": f"{regime['trainable_percent']:.2f} %",
        "adapter_bytes": human(adapter_bytes),
        "base_bytes": human(base_bytes),
        "ratio": f"{100 * adapter_bytes / base_bytes:.2f} %",
        "criteria": criteria_table(verdict),
        "results": results_table(summary, run),
        "on_test": lambda unit, metric: on_test(summary, unit, metric),
        "trained": trained_table(verdict),
        "versions": page_hashes.versions(VERSIONS),
        "departures": environment.departures(),
    }


def as_yaml(value: dict[str, Any]) -> str:
    """As block YAML, keys in their order, a long text on one line."""
    dumped = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
    return dumped.rstrip("\n")


def render(values: dict[str, Any]) -> str:
    """The card, made of its template; an unknown name in that is an error."""
    jinja = templates.environment(keep_trailing_newline=True)
    jinja.filters["lines"] = "\n".join
    return jinja.get_template("model_card.md.j2").render(values)
