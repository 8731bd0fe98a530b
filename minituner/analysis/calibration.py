"""Has a base learnt its corpus's habits? Each form's probability beside how often it is written."""

import math

import numpy as np
import pandas as pd

from minituner import data
from minituner.analysis.habits import CELL
from minituner.evaluate import Score
from minituner.foundation import numerics

BATCH = 512  # prompts and forms scored at a time


def calibration(score: Score, shares: pd.DataFrame, prompts: pd.DataFrame) -> pd.DataFrame:
    """Each form's mean probability behind the prompts of its cell, beside its share.

    Args:
        score: of the base, for instance `functools.partial(evaluate.score, model)`.
        shares: see `habits`.
        prompts: see `habits`.

    Returns:
        The shares, with `probability` and `prompts`, how many; and with `distance`, the mean over
        these of |probability − share|.
    """
    asked = prompts.rename(columns={"form": "written"}).merge(shares, on=CELL)
    asked["behind"] = [
        data.completion(text, prompt, written)[0][-1]
        for text, prompt, written in asked[["text", "prompt", "written"]].itertuples(index=False)
    ]
    probability: list[float] = []
    for start in range(0, len(asked), BATCH):
        rows = asked.iloc[start : start + BATCH]
        log_probs, _ = score(rows["prompt"].tolist(), (rows["form"] + rows["behind"]).tolist())
        sums = np.array(list(map(math.fsum, log_probs.tolist())))
        probability += numerics.exponential(sums).tolist()
    asked["probability"] = probability
    asked["distance"] = (asked["probability"] - asked["share"]).abs()
    by_form = asked.groupby([*CELL, "form", "share"], as_index=False)
    return by_form.agg(
        probability=("probability", "mean"),
        distance=("distance", "mean"),
        prompts=("prompt", "size"),
    )
