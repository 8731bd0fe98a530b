"""Intervals by the bootstrap (Efron & Tibshirani 1993, chapter 8).

What is resampled is what could have been different: whole pairs of subject and time, since these
were held out and prompts that share one are not independent, and seeds, since a rank is a recipe
and not one lucky run.
"""

from typing import Any

import numpy as np
import pandas as pd

from minituner.analysis.metrics import METRICS
from minituner.analysis.wording import SHARES
from minituner.foundation.numerics import weighted_sums
from minituner.foundation.seeds import generator


def resampled(
    runs: dict[str, pd.DataFrame], metric: str, split: str, settings: dict[str, Any]
) -> dict[str, np.ndarray]:
    """A metric of each run: element 0 from the data as they are, then one a bootstrap resample.

    All runs share the resamples of pairs, which makes every later difference a paired one.
    """
    how = METRICS[metric]
    same = next(iter(runs.values()))  # all hold the same sentences
    rows = (same[how.scope] & (same["split"] == split)).to_numpy()
    pairs, codes = np.unique(same.loc[rows, "pair"].to_numpy(dtype=str), return_inverse=True)
    n = len(pairs)
    if n == 0:
        return {}
    weights = pair_weights(n, settings, "pairs", how.scope, split)
    weights = np.vstack([np.ones(n), weights])
    sums, values = {}, {}
    for name, table in runs.items():
        chosen = table.loc[rows]
        over, under = (
            np.bincount(codes, chosen[column].to_numpy(dtype=float), n)
            for column in (how.numerator, how.denominator)
        )
        sums[name] = over, under
    totals = weighted_sums(weights, np.array(list(sums.values())).reshape(-1, n))
    for name, over, under in zip(sums, totals[::2], totals[1::2], strict=True):
        ratio = over / under
        values[name] = how.link(ratio) if how.link else ratio
    return values


def pair_weights(n: int, settings: dict[str, Any], *purpose: str) -> np.ndarray:
    """How often each of n pairs is in each resample, (resamples, n)."""
    draw = generator(settings["seed"], "bootstrap", *purpose)
    return draw.multinomial(n, np.full(n, 1 / n), size=settings["bootstrap"])


def over_seeds(values: list[np.ndarray], group: str, settings: dict[str, Any]) -> np.ndarray:
    """The mean over a group's seeds; in each bootstrap resample other seeds might have been run.

    Seeds are too few to be redrawn from among themselves: five cover 84 % where 95 is said. So each
    resample of pairs is moved by Student's t (with one degree less than there are seeds) times the
    mean's standard error over the seeds.
    """
    stacked = np.stack(values)  # (seeds, 1 + resamples)
    seeds, draws = stacked.shape
    mean = stacked.mean(axis=0)
    if seeds == 1:
        return mean
    error = np.sqrt(((stacked[:, 0] - mean[0]) ** 2).sum() / (seeds - 1) / seeds)
    draw = generator(settings["seed"], "bootstrap", "seeds", group)
    normal = draw.standard_normal((seeds, draws))
    student = normal[0] / np.sqrt((normal[1:] ** 2).mean(axis=0))
    student[0] = 0  # the data as they are
    return mean + student * error


def interval(drawn: np.ndarray, metric: str, settings: dict[str, Any]) -> tuple[float, float]:
    """A metric's interval, of what `resampled` or `over_seeds` gives; a share's ends at 0 and 1."""
    low, high = ends(drawn[1:], settings)
    return (max(low, 0.0), min(high, 1.0)) if metric in SHARES else (low, high)


def ends(resamples: np.ndarray, settings: dict[str, Any]) -> tuple[float, float]:
    """The lower and the upper end of the interval that the settings' `confidence` asks for."""
    tail = (1 - settings["confidence"]) / 2
    low, high = np.quantile(resamples, [tail, 1 - tail])
    return low, high
