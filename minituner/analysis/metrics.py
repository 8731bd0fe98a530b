"""What is measured of a run: over which rows, as what ratio, and how it is held to the base."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from minituner.corpus.verbs import PASTS
from minituner.foundation import parquet
from minituner.foundation.numerics import exponential


class Metric(NamedTuple):
    """A ratio of two sums over some rows of an evaluation."""

    scope: str  # the column of `scoped` that says which rows
    numerator: str
    denominator: str
    link: Callable | None = None  # what is made of the ratio


METRICS = {
    "accuracy": Metric("irregular", "chosen", "one"),
    "exact_match": Metric("irregular", "exact", "one"),
    "margin": Metric("irregular", "margin", "one"),
    "probe_accuracy": Metric("probe", "chosen", "one"),
    "probe_exact_match": Metric("probe", "exact", "one"),
    "probe_margin": Metric("probe", "margin", "one"),
    "control_accuracy": Metric("control_past", "chosen", "one"),
    "perplexity": Metric("control", "sentence_nats", "sentence_symbols", exponential),
    "form_perplexity": Metric("control", "form_nats", "form_symbols", exponential),
}


def drift(tuned: np.ndarray, base: np.ndarray) -> np.ndarray:
    """By what share of the base's perplexity the tuned model's is higher."""
    return tuned / base - 1


# name: (metric, how it is compared with the base)
COMPARISONS = {
    "accuracy_gain": ("accuracy", np.subtract),
    "exact_match_gain": ("exact_match", np.subtract),
    "margin_gain": ("margin", np.subtract),
    "probe_accuracy_gain": ("probe_accuracy", np.subtract),
    "perplexity_drift": ("perplexity", drift),
    "form_perplexity_drift": ("form_perplexity", drift),
}


def read_run(path: Path) -> pd.DataFrame:
    """One run's evaluation, with a column for each set of rows that a metric is taken over."""
    return scoped(parquet.read_frame(path))


def scoped(table: pd.DataFrame) -> pd.DataFrame:
    """An evaluation table with the columns that say which rows each of `METRICS` is about."""
    past = table["tense"].isin(PASTS)
    control = table["set"] == "control"
    return table.assign(
        one=1.0,
        irregular=~control & ~table["probe"],
        probe=~control & table["probe"],
        control=control,
        control_past=control & past & table["margin"].notna(),
    )
