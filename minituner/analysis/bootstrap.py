"""Intervals by the bootstrap (Efron & Tibshirani 1993, chapter 8).

What is resampled is what could have been different: whole sentence frames, since sentences that
share one are not independent, and seeds, since a rank is a recipe and not one lucky run.
"""

from typing import Any

import numpy as np
import pandas as pd

from minituner.analysis.metrics import METRICS
from minituner.foundation.numerics import weighted_sums
from minituner.foundation.seeds import generator


def resampled(
    runs: dict[str, pd.DataFrame], metric: str, split: str, settings: dict[str, Any]
) -> dict[str, np.ndarray]:
    """A metric of each run: element 0 from the data as they are, then one a bootstrap resample.

    All runs share the resamples of frames, which makes every later difference a paired one.
    """
    how = METRICS[metric]
    same = next(iter(runs.values()))  # all hold the same sentences
    rows = (same[how.scope] & (same["split"] == split)).to_numpy()
    frames, codes = np.unique(same.loc[rows, "frame"].to_numpy(dtype=str), return_inverse=True)
    n = len(frames)
    if n == 0:
        return {}
    weights = frame_weights(n, settings, "frames", how.scope, split)
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


def frame_weights(n: int, settings: dict[str, Any], *purpose: str) -> np.ndarray:
    """How often each of n frames is in each resample, (resamples, n)."""
    draw = generator(settings["seed"], "bootstrap", *purpose)
    return draw.multinomial(n, np.full(n, 1 / n), size=settings["bootstrap"])


def over_seeds(values: list[np.ndarray], group: str, settings: dict[str, Any]) -> np.ndarray:
    """The mean over a group's seeds; in each bootstrap resample the seeds are redrawn too."""
    stacked = np.stack(values)  # (seeds, 1 + resamples)
    seeds, draws = stacked.shape
    draw = generator(settings["seed"], "bootstrap", "seeds", group)
    chosen = draw.integers(seeds, size=(seeds, draws))
    chosen[:, 0] = np.arange(seeds)
    return np.take_along_axis(stacked, chosen, axis=0).mean(axis=0)


def ends(resamples: np.ndarray, settings: dict[str, Any]) -> tuple[float, float]:
    """The lower and the upper end of the interval that the settings' `confidence` asks for."""
    tail = (1 - settings["confidence"]) / 2
    low, high = np.quantile(resamples, [tail, 1 - tail])
    return low, high
