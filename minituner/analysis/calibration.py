"""Has a base learnt its corpus's habits? Each form's probability against how often it is written.

The corpus is drawn: whether a sentence is spoilt, and how, does not depend on its subject or time.
So a base that has learnt the habit, and no single sentence by heart, gives each form behind any new
prompt the probability that is its share of the corpus.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from minituner import data
from minituner.corpus.verbs import PASTS
from minituner.evaluate import Score
from minituner.foundation import numerics, parquet

CELL = ["verb_lemma", "tense", "correct_form"]  # what a form's share is taken over
COLUMNS = [*CELL, "form", "text", "prompt", "english_regularity", "split"]
BATCH = 512  # prompts and forms scored at a time


def habits(corpus: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is asked of a base: the pasts of the irregular verbs, as they are written.

    Returns:
        The shares, one row a form that the training split writes in a cell, with its `share`; and
        the prompts of the validation split, each once, with a form that stands behind it there.
    """
    table = parquet.read_table(corpus, COLUMNS).to_pandas()
    table = table[table["tense"].isin(PASTS) & table["english_regularity"].eq("irregular")]
    train = table[table["split"] == "train"]
    shares = train.groupby(CELL)["form"].value_counts(normalize=True).rename("share").reset_index()
    prompts = table[table["split"] == "val"].drop_duplicates("prompt")
    return shares, prompts[[*CELL, "form", "text", "prompt"]]


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


def off(table: pd.DataFrame) -> float:
    """How far a base is from its corpus: the mean total variation over all prompts asked.

    That is the share of its choices that a base which is right would make otherwise. What it gives
    to forms that no one writes counts as well.
    """
    cells = table.groupby(CELL).agg(
        distance=("distance", "sum"), given=("probability", "sum"), prompts=("prompts", "first")
    )
    variation = (cells["distance"] + (1 - cells["given"])) / 2
    return float((variation * cells["prompts"]).sum() / cells["prompts"].sum())
