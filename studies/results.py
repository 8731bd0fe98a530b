"""The scored runs of the studies, and intervals over pairs and seeds.

What is selected is selected on validation; every number that a sentence gives is of the test split.
A sentence says that two runs differ only where their paired difference is significant at 5 %,
corrected for how many differences of that measure its question states (Holm 1979).
"""

from pathlib import Path
from typing import Any

import pandas as pd

from minituner.analysis.bootstrap import count_items, holm, interval, over_seeds, p_value, resampled
from minituner.analysis.metrics import METRICS, drift, scoped
from minituner.analysis.wording import DRIFT, GAIN, NATS, SHARE, SIGNIFICANT, Format
from minituner.foundation import parquet
from minituner.foundation.errors import UserError

# Metrics: name in a sentence, how a value is written, and how a difference is.
STUDIED = {
    "accuracy": ("accuracy", SHARE, GAIN),
    "margin": ("margin", Format(2, 1, " nats"), NATS._replace(unit=" nats")),
    "drift": ("drift", DRIFT, DRIFT._replace(unit=" points")),
    "form_drift": ("drift of the forms alone", DRIFT, DRIFT._replace(unit=" points")),
    "control_accuracy": ("control accuracy", SHARE, GAIN),
}
DRIFTS = {"drift": "perplexity", "form_drift": "form_perplexity"}  # metric → of which perplexity
COLUMNS = "study item against metric seeds value low high p".split()
Row = dict[str, Any]
Tables = dict[str, pd.DataFrame]  # by run and seed


class Scores:
    """One study's runs with every seed.

    Args:
        paths: a file a seed, named after it.
        settings: the section `evaluate`.

    Raises:
        UserError: if two seeds' files hold other sentences.
    """

    def __init__(self, paths: list[Path], settings: dict[str, Any]) -> None:
        self.settings, self.seeds = settings, [path.stem for path in sorted(paths)]
        self.tables: dict[str, Tables] = {}
        self.reached: dict[tuple[str, str], list[bool]] = {}
        for path in sorted(paths):
            frame = parquet.read_frame(path)
            base = scoped(frame[frame["variant"] == "base"].reset_index(drop=True))
            for (variant, at), table in frame.groupby(["variant", "at"], sort=False):
                if variant != "base":
                    self._add(
                        path, str(variant), str(at), scoped(table.reset_index(drop=True)), base
                    )
        self._drawn: dict[tuple, dict[str, Any]] = {}

    def _add(
        self, path: Path, variant: str, at: str, table: pd.DataFrame, base: pd.DataFrame
    ) -> None:
        tables = self.tables.setdefault(at, {})
        if "base" not in tables:
            tables["base"] = base[base["id"].isin(table["id"])].reset_index(drop=True)
        if sorted(tables["base"]["id"]) != sorted(table["id"]):
            raise UserError(f"{path}: {variant}: scored other sentences; delete it")
        tables[f"{variant}|{path.stem}"] = (
            table.set_index("id").loc[tables["base"]["id"]].reset_index()
        )
        self.reached.setdefault((variant, at), []).append(bool(table["reached"].all()))

    def add(self, name: str, at: str, by_seed: dict[str, pd.DataFrame]) -> None:
        """Add a run that is put together from others' tables."""
        self.tables[at] |= {f"{name}|{seed}": table for seed, table in by_seed.items()}

    def table(self, variant: str, at: str, seed: str) -> pd.DataFrame:
        """The scores of a run with a seed."""
        return self.tables[at][f"{variant}|{seed}"]

    def drawn(self, variant: str, metric: str, at: str, verb: str | None) -> list:
        """A metric of a run, one array a seed: the value, then one a bootstrap resample."""
        key = (metric, at, verb)
        if key not in self._drawn:
            tables = self._of(at, verb)
            values = resampled(tables, DRIFTS.get(metric, metric), "test", self.settings)
            if metric in DRIFTS:
                values = {unit: drift(value, values["base"]) for unit, value in values.items()}
            self._drawn[key] = values
        values = self._drawn[key]
        return [values["base" if variant == "base" else f"{variant}|{s}"] for s in self.seeds]

    def _of(self, at: str, verb: str | None) -> Tables:
        tables = self.tables[at]
        if verb:
            rows = tables["base"]["verb_lemma"] == verb
            tables = {unit: table[rows] for unit, table in tables.items()}
        return tables

    def row(
        self,
        study: str,
        item: str,
        metric: str,
        variant: str,
        against: str | None = None,
        at: str = "end",
        verb: str | None = None,
    ) -> Row:
        """One number on test with its interval: a run's metric, or its difference to another's.

        Differences are paired, by pair of subject and time and by seed.
        """
        values = self.drawn(variant, metric, at, verb)
        if against:
            other = self.drawn(against, metric, at, verb)
            values = [one - two for one, two in zip(values, other, strict=True)]
        mean = over_seeds(values, f"{study} {item}", self.settings)
        what = "difference" if against else metric
        items = count_items(self._of(at, verb), metric, "test") if metric in METRICS else 0
        low, high = interval(mean, what, self.settings, items)
        p = p_value(mean) if against else None
        fields = (study, item, against or "", metric, len(self.seeds), mean[0], low, high, p)
        return dict(zip(COLUMNS, fields, strict=True))


def family(rows: list[Row]) -> list[Row]:
    """The differences that a question states, p corrected for how many are of one measure."""
    for metric in {row["metric"] for row in rows}:
        alike = [row for row in rows if row["metric"] == metric]
        for row, p in zip(alike, holm([row["p"] for row in alike]), strict=True):
            row["p"] = p
    return rows


def significant(row: Row) -> bool:
    """Whether a difference is one."""
    return row["p"] < SIGNIFICANT


def shown(row: Row) -> str:
    """A row's value and interval in its metric's format: +3.10 points [+1.20, +5.00]."""
    _, level, difference = STUDIED[row["metric"]]
    return (difference if row["against"] else level).interval(row)


def told(row: Row) -> str:
    """A difference in words: higher, lower, or none that is significant."""
    name = STUDIED[row["metric"]][0]
    if significant(row):
        return f"{name} is {'higher' if row['value'] > 0 else 'lower'}, {shown(row)}"
    return f"no significant difference in {name}, {shown(row)}"
