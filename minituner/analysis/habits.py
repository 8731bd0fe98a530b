"""What a corpus's habits are, and how far a base is from them; asking the base is calibration.py's.

The corpus is drawn: whether a sentence is spoilt, and how, does not depend on its subject or time.
So a base that has learnt the habit, and no single sentence by heart, gives each form behind any new
prompt the probability that is its share of the corpus.
"""

from pathlib import Path

import pandas as pd

from minituner.corpus.verbs import PASTS
from minituner.foundation import parquet

CELL = ["verb_lemma", "tense", "correct_form"]  # what a form's share is taken over
COLUMNS = [*CELL, "form", "text", "prompt", "english_regularity", "split"]


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
