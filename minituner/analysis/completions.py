"""The same prompts, continued by the base, the judged LoRA adapter and its QLoRA counterpart."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa

from minituner import evaluate
from minituner.analysis.decoding import greedy
from minituner.checkpoints import runs
from minituner.corpus.verbs import PASTS
from minituner.foundation import progress, storage

CONTROLS = 4  # regular verbs among the examples


def examples(rows: list[dict[str, Any]], tense: str) -> list[dict[str, Any]]:
    """The first test sentence of each verb in a tense, by id."""
    first: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        if row["split"] == "test" and row["tense"] == tense:
            first.setdefault(row["verb_lemma"], row)
    return list(first.values())


def report(
    settings: dict[str, Any], results: Path, irregular: Path, control: Path, out: Path
) -> None:
    """Write `completions.parquet` to `out`: a row a prompt and model, in reading order.

    `completion` is greedy; `form_p` and `rival_p` are the probabilities of the correct form and of
    its likeliest rival, each with the character that closes it.
    """
    judged = runs.judged(results)
    shown = {
        "base": "base",
        "LoRA": judged,
        "QLoRA": runs.qlora_beside(judged, settings["sweep"]["qlora_ranks"]),
    }
    rows = evaluate.held_out_rows(irregular, control)
    by_set = {
        name: [row for row in rows if row["set"] == name] for name in ("irregular", "control")
    }
    chosen = [row for tense in PASTS for row in examples(by_set["irregular"], tense)]
    chosen += examples(by_set["control"], PASTS[0])[:CONTROLS]
    table: list[dict[str, Any]] = []
    for method, run in shown.items():
        model = runs.load_run(run, results)
        scores = progress.bar(evaluate.score(model, chosen), f"asking {method}", "prompts")
        for row, scored in zip(chosen, scores, strict=True):
            kept = {c: row[c] for c in ("id", "set", "verb_lemma", "tense", "probe", "prompt")}
            table.append(
                kept
                | {"expected": row["text"][len(row["prompt"]) :], "form": row["form"]}
                | {"method": method, "run": run, "completion": greedy(model, row["prompt"])}
                | {"form_p": math.exp(scored["correct_logp"]), "rival": scored["rival"]}
                | {"rival_p": scored["rival_logp"] and math.exp(scored["rival_logp"])}
            )
    storage.write_table(out / "completions.parquet", pa.Table.from_pylist(table))
