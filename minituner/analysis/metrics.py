"""What is measured of a run: over which rows, as what ratio, and how it is held to the base."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from minituner.corpus.splits import FURTHER
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
    "form_logp": Metric("irregular", "correct_logp", "one"),
    **{f"{name}_accuracy": Metric(name, "chosen", "one") for name in FURTHER},
    **{f"{name}_margin": Metric(name, "margin", "one") for name in FURTHER},
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
    **{f"{name}_accuracy_gain": (f"{name}_accuracy", np.subtract) for name in FURTHER},
    "perplexity_drift": ("perplexity", drift),
    "form_perplexity_drift": ("form_perplexity", drift),
}

# What else is compared within a seed: a LoRA run with the lowest rank's, a QLoRA run with LoRA's.
PAIRED = ("accuracy", "margin", "form_logp", "perplexity_drift", "control_accuracy")


def read_run(path: Path) -> pd.DataFrame:
    """One run's evaluation, with a column for each set of rows that a metric is taken over."""
    return scoped(parquet.read_frame(path))


def scoped(table: pd.DataFrame) -> pd.DataFrame:
    """An evaluation table with the columns that say which rows each of `METRICS` is about."""
    past = table["tense"].isin(PASTS)
    control = table["set"] == "control"
    return table.assign(
        one=1.0,
        # What tuning saw is no test, and is reported beside it.
        split=table["split"].where(table["set"] != "seen", "test"),
        control_past=control & past & table["margin"].notna(),
        **{name: table["set"] == name for name in ("irregular", "control", *FURTHER)},
    )
