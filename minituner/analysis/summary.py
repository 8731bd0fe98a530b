"""From one row a sentence to one row a number: means over seeds with 95 % bootstrap intervals.

The bootstrap (Efron & Tibshirani 1993, chapter 8) resamples what could have been different: whole
sentence frames, since sentences that share one are not independent, and seeds, since a rank is a
recipe and not one lucky run. Differences to the base are paired: both see the same resample.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from minituner.foundation import progress, storage
from minituner.foundation.errors import UserError
from minituner.foundation.seeds import generator

RUN_NAME = re.compile(
    r"(?P<group>(?P<method>base|nf4|full|lora|qlora)(?:_r(?P<rank>\d+))?)(?:_s(?P<seed>\d+))?"
)
# name: (which rows, numerator, denominator, what to make of the ratio)
METRICS = {
    "accuracy": ("irregular", "chosen", "one", None),
    "exact_match": ("irregular", "exact", "one", None),
    "margin": ("irregular", "margin", "one", None),
    "probe_accuracy": ("probe", "chosen", "one", None),
    "probe_exact_match": ("probe", "exact", "one", None),
    "probe_margin": ("probe", "margin", "one", None),
    "control_accuracy": ("control_past", "chosen", "one", None),
    "perplexity": ("control", "sentence_nats", "sentence_symbols", np.exp),
    "form_perplexity": ("control", "form_nats", "form_symbols", np.exp),
}
# name: (metric, how it is compared with the base)
COMPARISONS = {
    "accuracy_gain": ("accuracy", np.subtract),
    "exact_match_gain": ("exact_match", np.subtract),
    "margin_gain": ("margin", np.subtract),
    "probe_accuracy_gain": ("probe_accuracy", np.subtract),
    "perplexity_drift": ("perplexity", lambda tuned, base: tuned / base - 1),
    "form_perplexity_drift": ("form_perplexity", lambda tuned, base: tuned / base - 1),
}


def parse_run(name: str) -> dict[str, Any]:
    """`lora_r4_s0` → group `lora_r4`, method `lora`, rank 4, seed 0.

    Raises:
        UserError: if the name is no run's.
    """
    match = RUN_NAME.fullmatch(name)
    if not match:
        raise UserError(f"{name}: not a run's name; expected e.g. base, full_s0 or lora_r4_s0")
    fields = match.groupdict()
    return fields | {key: fields[key] and int(fields[key]) for key in ("rank", "seed")}


def read_run(path: Path) -> pd.DataFrame:
    """One run's evaluation, with a column for each set of rows that a metric is taken over."""
    return scoped(storage.read_table(path).to_pandas())


def read_runs(paths: list[Path]) -> dict[str, pd.DataFrame]:
    """The evaluation tables by run name, all checked to hold the same sentences.

    Raises:
        UserError: if one does not, or if there is no `base` to compare with.
    """
    runs = {path.stem: read_run(path) for path in sorted(paths)}
    if "base" not in runs:
        raise UserError("summarize: no run called base; every gain is measured against it")
    for name, table in runs.items():
        if not table["id"].equals(runs["base"]["id"]):
            raise UserError(f"{name}: scored other sentences than base; evaluate both again")
    return runs


def scoped(table: pd.DataFrame) -> pd.DataFrame:
    """An evaluation table with the columns that say which rows each of `METRICS` is about."""
    past = table["tense"].isin(["past_simple", "past_participle"])
    control = table["set"] == "control"
    return table.assign(
        one=1.0,
        irregular=~control & ~table["probe"],
        probe=~control & table["probe"],
        control=control,
        control_past=control & past & table["margin"].notna(),
    )


def resampled(
    runs: dict[str, pd.DataFrame], metric: str, split: str, settings: dict[str, Any]
) -> dict[str, np.ndarray]:
    """A metric of each run: element 0 from the data as they are, then one a bootstrap resample.

    All runs share the resamples of frames, which makes every later difference a paired one.
    """
    scope, numerator, denominator, link = METRICS[metric]
    same = next(iter(runs.values()))  # all hold the same sentences
    rows = (same[scope] & (same["split"] == split)).to_numpy()
    frames, codes = np.unique(same.loc[rows, "frame"].to_numpy(dtype=str), return_inverse=True)
    n = len(frames)
    if n == 0:
        return {}
    draw = generator(settings["seed"], "bootstrap", "frames", scope, split)
    weights = draw.multinomial(n, np.full(n, 1 / n), size=settings["bootstrap"])
    weights = np.vstack([np.ones(n), weights])
    values = {}
    for name, table in runs.items():
        kept = table.loc[rows]
        over, under = (
            np.bincount(codes, kept[column].to_numpy(dtype=float), n)
            for column in (numerator, denominator)
        )
        ratio = (weights @ over) / (weights @ under)
        values[name] = link(ratio) if link else ratio
    return values


def over_seeds(values: list[np.ndarray], group: str, settings: dict[str, Any]) -> np.ndarray:
    """The mean over a group's seeds; in each bootstrap resample the seeds are redrawn too."""
    stacked = np.stack(values)  # (seeds, 1 + resamples)
    seeds, draws = stacked.shape
    draw = generator(settings["seed"], "bootstrap", "seeds", group)
    chosen = draw.integers(seeds, size=(seeds, draws))
    chosen[:, 0] = np.arange(seeds)
    return np.take_along_axis(stacked, chosen, axis=0).mean(axis=0)


def summary_table(runs: dict[str, pd.DataFrame], settings: dict[str, Any]) -> pd.DataFrame:
    """One row a run or group, split and metric: value, low, high, number of seeds.

    A row whose `seeds` is 0 belongs to a single run; its interval is over frames alone. A group's
    (`lora_r4`: every seed of that rank) is over frames and seeds.
    """
    groups: dict[str, list[str]] = {}
    for name in runs:
        groups.setdefault(parse_run(name)["group"], []).append(name)
    tail = (1 - settings["confidence"]) / 2
    rows = []
    for split in ("val", "test"):
        metrics = progress.bar(METRICS, f"resampling {split}", "metrics")
        by_metric = {metric: resampled(runs, metric, split, settings) for metric in metrics}
        for name, (metric, compare) in COMPARISONS.items():
            values = by_metric[metric]
            by_metric[name] = {run: compare(values[run], values["base"]) for run in values}
        for metric, values in by_metric.items():
            if not values:
                continue
            units = {(run, 0): values[run] for run in values if parse_run(run)["seed"] is not None}
            units |= {
                (group, len(members)): over_seeds([values[m] for m in members], group, settings)
                for group, members in groups.items()
            }
            for (unit, n_seeds), drawn in units.items():
                low, high = np.quantile(drawn[1:], [tail, 1 - tail])
                fields = parse_run(unit)
                rows.append(
                    {
                        "unit": unit,
                        "method": fields["method"],
                        "rank": fields["rank"],
                        "seeds": n_seeds,
                        "split": split,
                        "metric": metric,
                        "value": drawn[0],
                        "low": low,
                        "high": high,
                    }
                )
    table = pd.DataFrame(rows).astype({"rank": "Int64"})
    order = ["split", "method", "rank", "unit", "metric"]
    return table.sort_values(order, na_position="first", ignore_index=True)


def per_verb_table(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Test accuracy, exact match and mean margin by group, verb and tense, seeds pooled."""
    tables = []
    for name, table in runs.items():
        chosen = (table["split"] == "test") & (table["irregular"] | table["control_past"])
        tables.append(table[chosen | table["probe"]].assign(group=parse_run(name)["group"]))
    keys = ["group", "set", "probe", "verb_lemma", "tense"]
    pooled = pd.concat(tables).astype({"chosen": float, "exact": float})
    result = pooled.groupby(keys, as_index=False).agg(
        sentences=("one", "size"),
        accuracy=("chosen", "mean"),
        exact_match=("exact", "mean"),
        margin=("margin", "mean"),
    )
    return result


def lookup(table: pd.DataFrame, unit: str, metric: str, split: str = "test") -> pd.Series:
    """The one row of a summary for a unit, metric and split.

    Raises:
        UserError: if the summary has no such row.
    """
    chosen = table["unit"].eq(unit) & table["metric"].eq(metric) & table["split"].eq(split)
    if not chosen.any():
        raise UserError(f"summary: no {metric} of {unit} on {split}; evaluate that run first")
    return table[chosen].iloc[0]


def summarize(settings: dict[str, Any], runs: list[Path], out: Path) -> None:
    """Write `summary.parquet`, `summary.csv` and `per_verb.parquet` to `out`."""
    tables = read_runs(runs)
    summary = summary_table(tables, settings["evaluate"])
    storage.write_table(
        out / "summary.parquet", pa.Table.from_pandas(summary, preserve_index=False)
    )
    groups = summary[(summary["split"] == "test") & (summary["seeds"] > 0)]
    wide = groups.pivot(index=["unit", "method", "rank"], columns="metric", values="value")
    wide = wide.reset_index().sort_values(["method", "rank"], na_position="first")
    storage.write_table(out / "summary.csv", pa.Table.from_pandas(wide, preserve_index=False))
    per_verb = per_verb_table(tables)
    storage.write_table(
        out / "per_verb.parquet", pa.Table.from_pandas(per_verb, preserve_index=False)
    )
