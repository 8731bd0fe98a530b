"""Intervals by the bootstrap (Efron & Tibshirani 1993, chapter 8).

What is resampled is what could have been different: whole pairs of subject and time, since these
were held out and prompts that share one are not independent, and seeds, since a rank is a recipe
and not one lucky run.

An interval runs between quantiles of the draws. A share near 0 or 1 scatters to one side only, and
these cover too seldom. There the interval is Wilson's (1927), of as many independent answers as
would scatter like the draws: the effective sample size of survey statistics, at most the items
there are (Korn & Graubard 1998). docs/coverage.md has how often both hold a truth that is known.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from minituner.analysis.metrics import METRICS
from minituner.analysis.wording import SHARES
from minituner.foundation.numerics import weighted_sums
from minituner.foundation.seeds import generator

NEAR_AN_END = 0.02  # of 0 or 1, where a share's interval is Wilson's


def resampled(
    runs: dict[str, pd.DataFrame], metric: str, split: str, settings: dict[str, Any]
) -> dict[str, np.ndarray]:
    """A metric of each run: element 0 from the data as they are, then one a bootstrap resample.

    All runs share the resamples of pairs, which makes every later difference a paired one.
    """
    how = METRICS[metric]
    rows = _rows(runs, metric, split)
    same = next(iter(runs.values()))
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


def _rows(runs: dict[str, pd.DataFrame], metric: str, split: str) -> np.ndarray:
    """Which rows a metric is taken over; all runs hold the same sentences."""
    same = next(iter(runs.values()))
    return (same[METRICS[metric].scope] & (same["split"] == split)).to_numpy()


def count_items(runs: dict[str, pd.DataFrame], metric: str, split: str) -> int:
    """How many sentences a metric is taken over."""
    return int(_rows(runs, metric, split).sum())


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


def interval(
    drawn: np.ndarray, metric: str, settings: dict[str, Any], items: int
) -> tuple[float, float]:
    """A metric's interval, of what `resampled` or `over_seeds` gives.

    Args:
        drawn: the value and its resamples.
        metric: those in `SHARES` get Wilson's interval near 0 and 1; all else gets quantiles.
        settings: the section `evaluate`.
        items: sentences that the metric is taken over.
    """
    if metric not in SHARES:
        return ends(drawn[1:], settings)
    if min(drawn[0], 1 - drawn[0]) < NEAR_AN_END:
        return wilson(drawn, settings, items)
    return ends(drawn[1:].clip(0, 1), settings)


def wilson(drawn: np.ndarray, settings: dict[str, Any], items: int) -> tuple[float, float]:
    """Wilson's interval of a share whose resamples say how many independent answers it is worth.

    It is worth no more than there are items, which counts where resamples do not scatter at all.
    """
    share, variance = float(drawn[0]), float(drawn[1:].var())
    n = min(share * (1 - share) / variance, items) if variance else items
    z = NormalDist().inv_cdf((1 + settings["confidence"]) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # Rounding must not put an end on the share's wrong side, as where every answer is right.
    return max(min(middle - half, share), 0.0), min(max(middle + half, share), 1.0)


def ends(resamples: np.ndarray, settings: dict[str, Any]) -> tuple[float, float]:
    """The lower and the upper end of the interval that the settings' `confidence` asks for."""
    tail = (1 - settings["confidence"]) / 2
    low, high = np.quantile(resamples, [tail, 1 - tail])
    return low, high


def p_value(drawn: np.ndarray) -> float:
    """How often a difference's resamples lie on the side where it does not, both sides counted.

    One resample more is counted than there is, so that no difference is ever certain (Davison &
    Hinkley 1997, section 4.2.3).
    """
    draws = drawn[1:]
    rare = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (rare + 1) / (len(draws) + 1))


def holm(p_values: list[float]) -> list[float]:
    """The p-values of a family of findings, so corrected that all of them may be read (Holm 1979).

    The smallest is multiplied by how many there are, the next by one less, and so on; none falls
    below one before it.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, reached = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        reached = max(reached, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = reached
    return corrected
