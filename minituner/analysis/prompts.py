"""What models can be asked: the corpus's prompts, and the forms that compete behind each."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from minituner.foundation import parquet

CELL = ["verb_lemma", "tense", "cell"]  # prompts with equal values here have the same forms
Rows = list[dict[str, Any]]
Forms = dict[tuple[str, str, str], list[str]]


def read(corpus: Path) -> pd.DataFrame:
    """A row a sentence: its prompt with subject and time, its cell, and the form written there.

    The cell is the person or, where the corpus has several correct forms for one (a user's own may
    leave persons out), the correct form. Where frames are not `subject|object|time` the time is
    empty and the subject is what the frame begins with.
    """
    columns = ["verb_lemma", "tense", "person", "prompt", "correct_form", "form", "frame", "split"]
    table = parquet.read_table(corpus, columns).to_pandas()
    parts = table["frame"].str.split("|", expand=True).reindex(columns=range(3)).fillna("")
    forms = table.groupby(["verb_lemma", "tense", "person"])["correct_form"].transform("nunique")
    cell = table["person"].where(forms == 1, table["correct_form"])
    return table.assign(subject=parts[0], time=parts[2], cell=cell)


def competing(prompts: pd.DataFrame, subsets: Iterable[Path]) -> Forms:
    """The forms of each cell, the correct one first.

    The wrong ones, in code-point order, are those that the corpus is spoilt with and those that
    evaluation offers.
    """
    cells = prompts.drop_duplicates("prompt").set_index("prompt")[CELL]
    wrong = {key: set(forms) for key, forms in prompts.groupby(CELL)["form"]}
    for path in filter(Path.is_file, subsets):
        rows = parquet.read_table(path, ["prompt", "alternatives"]).to_pandas()
        known = rows[rows["prompt"].isin(cells.index)]
        for prompt, forms in zip(known["prompt"], known["alternatives"], strict=True):
            wrong[tuple(cells.loc[prompt])].update(forms)
    correct = prompts.groupby(CELL, sort=False)["correct_form"].first()
    return {key: [form, *sorted(wrong[key] - {form})] for key, form in correct.items()}


def first_of_each_verb(rows: Rows, tense: str) -> Rows:
    """The first test sentence of each verb in a tense, by id."""
    first: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        if row["split"] == "test" and row["tense"] == tense:
            first.setdefault(row["verb_lemma"], row)
    return list(first.values())
