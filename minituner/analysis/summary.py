"""From one row a sentence to one row a number: means over seeds with intervals.

Differences are paired: both sides see the same resample, and ranks also the same seeds.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from minituner.analysis.bootstrap import (
    count_items,
    holm,
    interval,
    over_seeds,
    p_value,
    resampled,
)
from minituner.analysis.metrics import COMPARISONS, METRICS, PAIRED, read_run
from minituner.checkpoints.runs import parse_run
from minituner.foundation import progress
from minituner.foundation.errors import UserError


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


def summary_table(runs: dict[str, pd.DataFrame], settings: dict[str, Any]) -> pd.DataFrame:
    """One row a run or group, split and metric: value, low, high, number of seeds.

    A row whose `seeds` is 0 belongs to a single run; its interval is over pairs alone. A group's
    (`lora_r4`: every seed of that rank) is over pairs and seeds. `p` is given for the groups'
    differences within a seed, corrected over the groups that one metric compares.
    """
    groups: dict[str, list[str]] = {}
    for name in runs:
        groups.setdefault(parse_run(name)["group"], []).append(name)
    rows = []
    for split in ("val", "test"):
        metrics = progress.bar(METRICS, f"resampling {split}", "metrics")
        by_metric = {metric: resampled(runs, metric, split, settings) for metric in metrics}
        for name, (metric, compare) in COMPARISONS.items():
            values = by_metric[metric]
            by_metric[name] = {run: compare(values[run], values["base"]) for run in values}
        for metric in PAIRED:
            by_metric[f"{metric}_over_lowest"] = over_lowest(by_metric[metric])
            by_metric[f"{metric}_over_lora"] = over_lora(by_metric[metric])
        for metric, values in by_metric.items():
            if values:
                n = count_items(runs, metric, split) if metric in METRICS else 0
                rows += _rows_of(metric, split, values, groups, settings, n)
    table = pd.DataFrame(rows).astype({"rank": "Int64", "p": "float64"})
    for _, family in table[table["p"].notna()].groupby(["split", "metric"]):
        table.loc[family.index, "p"] = holm(family["p"].tolist())
    order = ["split", "method", "rank", "unit", "metric"]
    return table.sort_values(order, na_position="first", ignore_index=True)


def over_lowest(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By how much each LoRA or full run is above the lowest rank's of its seed, same resamples."""
    fields = {run: parse_run(run) for run in values}
    lora = {run: (f["rank"], f["seed"]) for run, f in fields.items() if f["method"] == "lora"}
    lowest = min((rank for rank, _ in lora.values()), default=None)
    first = {seed: values[run] for run, (rank, seed) in lora.items() if rank == lowest}
    others = {run: seed for run, (rank, seed) in lora.items() if rank != lowest}
    others |= {run: f["seed"] for run, f in fields.items() if f["method"] == "full"}
    return {run: values[run] - first[seed] for run, seed in others.items() if seed in first}


def over_lora(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By how much each QLoRA run is above the LoRA run of its rank and seed."""
    beside = {run: run.removeprefix("q") for run in values if run.startswith("qlora")}
    return {run: values[run] - values[lora] for run, lora in beside.items() if lora in values}


def _rows_of(
    metric: str,
    split: str,
    values: dict[str, np.ndarray],
    groups: dict[str, list[str]],
    settings: dict[str, Any],
    items: int,
) -> list[dict[str, Any]]:
    """The rows of one metric and split: of each single run that has a seed, and of each group."""
    units = {(run, 0): values[run] for run in values if parse_run(run)["seed"] is not None}
    units |= {
        (group, len(members)): over_seeds([values[m] for m in members], group, settings)
        for group, members in groups.items()
        if all(member in values for member in members)
    }
    rows = []
    for (unit, n_seeds), drawn in units.items():
        low, high = interval(drawn, metric, settings, items)
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
                "p": p_value(drawn) if n_seeds and "_over_" in metric else None,
            }
        )
    return rows


def wide(summary: pd.DataFrame) -> pd.DataFrame:
    """The groups' test values, one row a group; a metric has three columns: value, low and high."""
    groups = summary[(summary["split"] == "test") & (summary["seeds"] > 0)]
    ends = ["value", "low", "high"]
    table = groups.pivot(index=["unit", "method", "rank"], columns="metric", values=ends)
    names = [(metric, end) for metric in sorted(set(groups["metric"])) for end in ends]
    table = table[[(end, metric) for metric, end in names]]
    table.columns = [metric if end == "value" else f"{metric}_{end}" for metric, end in names]
    return table.reset_index().sort_values(["method", "rank"], na_position="first")


def per_verb_table(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Test accuracy, exact match and mean margin by group, verb and tense, seeds pooled."""
    tables = []
    for name, table in runs.items():
        chosen = (table["split"] == "test") & (table["irregular"] | table["control_past"])
        tables.append(table[chosen | table["cell"]].assign(group=parse_run(name)["group"]))
    keys = ["group", "set", "verb_lemma", "tense"]
    pooled = pd.concat(tables).astype({"chosen": float, "exact": float})
    return pooled.groupby(keys, as_index=False).agg(
        sentences=("one", "size"),
        accuracy=("chosen", "mean"),
        exact_match=("exact", "mean"),
        margin=("margin", "mean"),
    )


def lookup(table: pd.DataFrame, unit: str, metric: str, split: str = "test") -> pd.Series:
    """The one row of a summary for a unit, metric and split.

    Raises:
        UserError: if the summary has no such row.
    """
    chosen = table["unit"].eq(unit) & table["metric"].eq(metric) & table["split"].eq(split)
    if not chosen.any():
        raise UserError(f"summary: no {metric} of {unit} on {split}; evaluate that run first")
    return table[chosen].iloc[0]
