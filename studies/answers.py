"""What the further studies found: intervals over pairs and seeds, and sentences made from them.

A sentence says that something is higher or lower only if its interval leaves zero out. What is
selected is selected on validation; every number that a sentence gives is of the test split.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from minituner.analysis.bootstrap import ends, over_seeds, resampled
from minituner.analysis.metrics import drift, scoped
from minituner.analysis.wording import DRIFT, GAIN, NATS
from minituner.foundation import parquet
from minituner.foundation.errors import UserError

# Metrics, and differences of them: (name in a sentence, format).
STUDIED = {
    "accuracy": ("accuracy", GAIN._replace(digits=2)),
    "margin": ("log-odds margin", NATS._replace(unit=" nats")),
    "drift": ("control perplexity", DRIFT),
    "control_accuracy": ("control accuracy", GAIN._replace(digits=2)),
}
COLUMNS = ["study", "item", "against", "metric", "split", "seeds", "value", "low", "high"]


class Runs:
    """The scored variants of all seeds, and intervals over them."""

    def __init__(self, paths: list[Path], settings: dict[str, Any]) -> None:
        self.settings = settings
        self.tables: dict[str, pd.DataFrame] = {}
        self.seeds = [path.stem for path in sorted(paths)]
        for path in sorted(paths):
            for name, table in parquet.read_frame(path).groupby("variant", sort=False):
                unit = "base" if name == "base" else f"{name}_{path.stem}"
                table = scoped(table.reset_index(drop=True))
                if not table["id"].equals(self.tables.get("base", table)["id"]):
                    raise UserError(f"{path}: {name}: scored other sentences; delete it")
                self.tables[unit] = table
        self.names = list(dict.fromkeys(u.rpartition("_")[0] for u in self.tables if u != "base"))
        self.verbs = [n.removeprefix("without_") for n in self.names if n.startswith("without_")]
        for seed in self.seeds:
            self.tables[f"without_{seed}"] = self._pooled(seed)
        self._drawn: dict[tuple, dict[str, np.ndarray]] = {}

    def _pooled(self, seed: str) -> pd.DataFrame:
        """Each verb as scored by the run that never saw it in tuning."""
        pooled = self.tables[f"standard_{seed}"].copy()
        for verb in self.verbs:
            rows = pooled["verb_lemma"] == verb
            pooled.loc[rows] = self.tables[f"without_{verb}_{seed}"].loc[rows]
        return pooled

    def drawn(self, name: str, metric: str, split: str, verb: str | None) -> list[np.ndarray]:
        """A metric of a variant, one array a seed: the value, then one a bootstrap resample."""
        key = (metric, split, verb)
        if key not in self._drawn:
            tables = self.tables
            if verb:
                rows = tables["base"]["verb_lemma"] == verb
                tables = {unit: table[rows] for unit, table in tables.items()}
            column = "perplexity" if metric == "drift" else metric
            values = resampled(tables, column, split, self.settings)
            if metric == "drift":
                values = {unit: drift(value, values["base"]) for unit, value in values.items()}
            self._drawn[key] = values
        values = self._drawn[key]
        return [values["base" if name == "base" else f"{name}_{seed}"] for seed in self.seeds]

    def row(
        self,
        study: str,
        item: str,
        metric: str,
        variant: str,
        against: str | None = None,
        split: str = "test",
        verb: str | None = None,
    ) -> dict[str, Any]:
        """One number with its interval: a variant's metric, or its difference to another's.

        Differences are paired, by pair of subject and time and by seed.
        """
        values = self.drawn(variant, metric, split, verb)
        if against:
            other = self.drawn(against, metric, split, verb)
            values = [one - two for one, two in zip(values, other, strict=True)]
        mean = over_seeds(values, f"{study} {item}", self.settings)
        low, high = ends(mean[1:], self.settings)
        fields = (study, item, against or "", metric, split, len(self.seeds), mean[0], low, high)
        return dict(zip(COLUMNS, fields, strict=True))


def interval(row: dict[str, Any]) -> str:
    """A row's value and interval in its metric's format: +3.10 points [+1.20, +5.00]."""
    return STUDIED[row["metric"]][1].interval(row)


def told(row: dict[str, Any]) -> str:
    """A difference in words: higher, lower, or none that can be told, as the interval has it."""
    name = STUDIED[row["metric"]][0]
    if row["low"] > 0:
        return f"{name} is higher, {interval(row)}"
    if row["high"] < 0:
        return f"{name} is lower, {interval(row)}"
    return f"in {name} no difference can be told, {interval(row)}"


def leave_one_out(runs: Runs, settings: dict[str, Any]) -> tuple[list[dict], str]:
    """Does tuning on the other irregular verbs repair one that tuning never showed?"""
    study = "leave_one_verb_out"
    gain = runs.row(study, "all", "accuracy", "without", "base")
    cost = runs.row(study, "all", "accuracy", "without", "standard")
    each = [
        runs.row(study, verb, "accuracy", f"without_{verb}", "base", verb=verb)
        for verb in runs.verbs
    ]
    better = [row["item"] for row in each if row["low"] > 0]
    worse = [row["item"] for row in each if row["high"] < 0]
    verdict = (
        "is repaired in part"
        if gain["low"] > 0 and cost["high"] < 0
        else "is repaired"
        if gain["low"] > 0
        else "is harmed"
        if gain["high"] < 0
        else "is not repaired"
    )
    n = len(runs.verbs)
    sentence = (
        f"A verb left out of tuning {verdict} by tuning on the other {n - 1}: against the base, "
        f"{told(gain)}; against tuning on all {n}, {told(cost)}. Verb by verb, the interval lies "
        f"above zero for {_listed(better)} and below for {_listed(worse)}."
    )
    return [gain, cost, *each], sentence


def amount(runs: Runs, settings: dict[str, Any]) -> tuple[list[dict], str]:
    """How many sentences does the gain need?"""
    study, total = "examples", settings["subsets"]["train"]
    sizes = sorted(n for n in settings["science"]["examples"])
    variant = {n: f"examples_{n}" for n in sizes} | {total: "standard"}
    levels = {n: runs.row(study, str(n), "accuracy", variant[n], "base") for n in variant}
    margins = {n: runs.row(study, str(n), "margin", variant[n], "base") for n in variant}
    lacks = {
        metric: {n: runs.row(study, str(n), metric, variant[n], "standard") for n in sizes}
        for metric in ("accuracy", "margin")
    }
    bar = settings["definition_of_done"]["accuracy_gain"]
    # the fewest from which on every number does
    enough = [n for n in variant if all(levels[m]["low"] >= bar for m in variant if m >= n)]
    parts = [
        f"The gain's interval lies above the bar of {100 * bar:g} points from {min(enough)} "
        f"sentences on ({interval(levels[min(enough)])})"
        if enough
        else f"With no number of sentences the gain's interval lies above {100 * bar:g} points"
    ]
    for metric, rows in lacks.items():
        apart = [n for n in sizes if rows[n]["low"] > 0 or rows[n]["high"] < 0]
        name = STUDIED[metric][0]
        if apart:
            shown = f"{max(apart)} ({interval(rows[max(apart)])})"
            parts.append(f"{name} still differs from that of all {total} with {shown}")
        else:
            parts.append(f"in {name} no number can be told from all {total}")
    every = [*levels.values(), *margins.values(), *(r for d in lacks.values() for r in d.values())]
    return every, "; ".join(parts) + "."


def loss(runs: Runs, settings: dict[str, Any]) -> tuple[list[dict], str]:
    """What does a loss on the whole sentence change against one on the form alone?"""
    rows = [
        runs.row("loss", "whole sentence", metric, "whole_sentence", "standard")
        for metric in ("accuracy", "margin", "drift")
    ]
    levels = [
        runs.row("loss", item, metric, variant, "base" if metric == "margin" else None)
        for item, variant in (("form", "standard"), ("whole sentence", "whole_sentence"))
        for metric in ("margin", "drift")
    ]
    said = "; ".join(told(row) for row in rows)
    return levels + rows, f"With the loss on the whole sentence instead of the form alone, {said}."


def learning_rate(runs: Runs, settings: dict[str, Any]) -> tuple[list[dict], str]:
    """Does one learning rate serve every rank, as the constant alpha is meant to make it?"""
    study, science = "learning_rate", settings["science"]
    ranks, rates = science["ranks"], science["learning_rates"]
    limit = settings["definition_of_done"]["perplexity_drift"]
    rows, best = [], {}
    for rank in ranks:
        on_val = {}
        for rate in rates:
            item, variant = f"r={rank}, {rate:g}", _lora(settings, rank, rate)
            rows += [runs.row(study, item, m, variant, "base") for m in ("accuracy", "margin")]
            rows.append(runs.row(study, item, "drift", variant))
            control = runs.row(study, item, "drift", variant, split="val")
            margin = runs.row(study, item, "margin", variant, "base", "val")
            rows += [control, margin]
            on_val[rate] = (control["high"] <= limit, margin["value"])
        within = [rate for rate in rates if on_val[rate][0]]
        best[rank] = f"{max(within, key=on_val.get):g}" if within else "none"
    chosen = ", ".join(f"{rate} at r = {rank}" for rank, rate in best.items())
    parts = [
        f"Of the rates {', '.join(f'{r:g}' for r in rates)}, the one with the largest margin whose "
        f"drift's interval stays within {100 * limit:g} %, on validation, is {chosen}"
    ]
    low, high = min(ranks), max(ranks)
    for rate in rates:
        two = [
            runs.row(study, f"r={high} against r={low}, {rate:g}", metric,
                     _lora(settings, high, rate), _lora(settings, low, rate))
            for metric in ("margin", "drift")
        ]  # fmt: skip
        rows += two
        parts.append(f"at {rate:g}, r = {high} against r = {low}: " + ", ".join(map(told, two)))
    return rows, "; ".join(parts) + "."


def methods(runs: Runs, settings: dict[str, Any]) -> tuple[list[dict], str]:
    """What do LoRA, QLoRA and full fine-tuning cost where they reach the same accuracy?"""
    study, science = "methods", settings["science"]
    wanted, first = science["accuracy"], science["ranks"][0]
    candidates = {
        "LoRA": {rate: _lora(settings, first, rate) for rate in science["learning_rates"]},
        "QLoRA": {rate: f"qlora_{rate:g}" for rate in science["learning_rates"]},
        "full": {rate: f"full_{rate:g}" for rate in science["full_learning_rates"]},
    }
    chosen, rows = {}, []
    for method, by_rate in candidates.items():
        on_val = {
            rate: runs.row(study, f"{method}, {rate:g}", "accuracy", variant, split="val")
            for rate, variant in by_rate.items()
        }
        rows += on_val.values()
        chosen[method] = min(by_rate, key=lambda rate: abs(on_val[rate]["value"] - wanted))
    variant = {method: candidates[method][rate] for method, rate in chosen.items()}
    for method in variant:
        rows += [
            runs.row(study, method, metric, variant[method])
            for metric in ("accuracy", "margin", "drift", "control_accuracy")
        ]
    parts = []
    for other in ("QLoRA", "full"):
        name = "full fine-tuning" if other == "full" else other
        differences = [
            runs.row(study, f"{other} against LoRA", metric, variant[other], variant["LoRA"])
            for metric in ("accuracy", "drift", "control_accuracy")
        ]
        rows += differences
        parts.append(f"{name} against LoRA: " + ", ".join(map(told, differences)))
    rates = ", ".join(f"{method} {rate:g}" for method, rate in chosen.items())
    sentence = (
        f"At the rates that come nearest to {100 * wanted:g} % accuracy on validation ({rates}), "
        + "; ".join(parts)
        + "."
    )
    return rows, sentence


STUDIES: dict[str, tuple[str, Callable]] = {
    "leave_one_verb_out": (
        "Is a verb repaired that tuning never showed?",
        leave_one_out,
    ),
    "examples": ("How many sentences does the gain need?", amount),
    "loss": ("The loss on the form alone, or on the whole sentence?", loss),
    "learning_rate": ("Is rank the only knob?", learning_rate),
    "methods": ("LoRA, QLoRA and full fine-tuning at equal accuracy", methods),
}


def answers(runs: Runs, settings: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Every study's rows in one table, columns as in `COLUMNS`, and its finding in a sentence."""
    rows, sentences = [], {}
    for study, (_, function) in STUDIES.items():
        own_rows, sentences[study] = function(runs, settings)
        rows += own_rows
    return pd.DataFrame(rows, columns=COLUMNS), sentences


def _lora(settings: dict[str, Any], rank: int, rate: float) -> str:
    """The variant that is LoRA at a rank and rate."""
    standard = settings["science"]["ranks"][0], settings["tuning"]["learning_rate"]
    return "standard" if (rank, rate) == standard else f"lora_r{rank}_{rate:g}"


def _listed(verbs: list[str]) -> str:
    return ", ".join(verbs) or "none"
