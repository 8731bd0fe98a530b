"""The same prompts, continued by several models, and how likely each finds the forms."""

from typing import Any

from minituner import evaluate
from minituner.analysis.decoding import greedy
from minituner.analysis.prompts import Rows, first_of_each_verb
from minituner.corpus.verbs import PASTS
from minituner.foundation import progress
from minituner.foundation.numerics import exponential

CONTROLS = 4  # regular verbs among the examples


def examples(rows: Rows) -> Rows:
    """The test sentences to show: a past of each irregular verb, then a few regular ones'."""
    by_set = {
        name: [row for row in rows if row["set"] == name] for name in ("irregular", "control")
    }
    chosen = [row for tense in PASTS for row in first_of_each_verb(by_set["irregular"], tense)]
    return chosen + first_of_each_verb(by_set["control"], PASTS[0])[:CONTROLS]


def continued(model: Any, method: str, run: str, rows: Rows) -> Rows:
    """One row a prompt: what a model writes behind it.

    `completion` is greedy; `form_p` and `rival_p` are the probabilities of the correct form and of
    its likeliest rival, each with the character that closes it.

    Args:
        model: what answers like a MiniGPT and has a `score`, as `compute.accelerate` gives it.
        method: what the row calls it.
        run: the run's name.
        rows: what `examples` chose.
    """
    scores = progress.bar(evaluate.score_rows(model.score, rows), f"asking {method}", "prompts")
    return [
        {column: row[column] for column in ("id", "set", "verb_lemma", "tense", "prompt")}
        | {"expected": row["text"][len(row["prompt"]) :], "form": row["form"]}
        | {"method": method, "run": run, "completion": greedy(model, row["prompt"])}
        | {"form_p": float(exponential(score["correct_logp"])), "rival": score["rival"]}
        | {"rival_p": score["rival_logp"] and float(exponential(score["rival_logp"]))}
        for row, score in zip(rows, scores, strict=True)
    ]
