"""Findings say no more than their intervals, and each study has its numbers on the page."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from studies import answers, variants
from tests.analysis.made import STUDY
from tests.support.command import call


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "accuracy is higher, +10.00 points [+1.00, +20.00]"),
        (-0.2, -0.01, "accuracy is lower, +10.00 points [-20.00, -1.00]"),
        (-0.01, 0.2, "in accuracy no difference can be told, +10.00 points [-1.00, +20.00]"),
        (0.0, 0.2, "in accuracy no difference can be told, +10.00 points [+0.00, +20.00]"),
    ],
)
def test_a_sentence_claims_a_difference_only_if_its_interval_leaves_zero_out(low, high, said):
    assert answers.told({"metric": "accuracy", "value": 0.1, "low": low, "high": high}) == said


def scored(folder, seed, right):
    """A made file of scores: `right` gives each variant's share of right test sentences."""
    draw = np.random.default_rng(seed)
    tables = []
    for name in ["base", *variants.variants(STUDY, ["go", "eat"])]:
        rows = []
        for i in range(120):
            chosen = bool(draw.random() < right.get(name, 0.9))
            rows.append(
                {
                    "variant": name, "id": f"{i:03}", "set": "irregular" if i < 80 else "control",
                    "split": "test" if i % 2 else "val", "pair": f"{i:03}",
                    "verb_lemma": ("go", "eat")[i // 2 % 2], "tense": "past_simple",
                    "chosen": chosen, "exact": chosen, "margin": 1.0 if chosen else -1.0,
                    "form_nats": 1.0, "form_symbols": 5, "sentence_nats": 5 + draw.random(),
                    "sentence_symbols": 30,
                }
            )  # fmt: skip
        tables.append(pd.DataFrame(rows))
    parquet.write_frame(folder / f"s{seed}.parquet", pd.concat(tables))
    return folder / f"s{seed}.parquet"


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ({"base": 0.1}, "A verb left out of tuning is repaired by"),
        ({"base": 0.1, "without_go": 0.4, "without_eat": 0.4}, "is repaired in part by"),
        ({"base": 0.9}, "A verb left out of tuning is not repaired by"),
        ({"base": 0.95, "without_go": 0.1, "without_eat": 0.1}, "left out of tuning is harmed by"),
    ],
)
def test_the_sentence_of_a_study_follows_its_numbers(tmp_path, right, said):
    paths = [scored(tmp_path, seed, right) for seed in range(4)]
    _, sentence = answers.leave_one_out(answers.Runs(paths, STUDY["evaluate"]), STUDY)
    assert said in sentence


def test_the_page_has_every_study_with_its_numbers(tmp_path):
    paths = [scored(tmp_path, seed, {"base": 0.1}) for seed in range(2)]
    call("studies", given=STUDY, runs=paths, out=tmp_path, page=tmp_path / "science.md")
    page = (tmp_path / "science.md").read_text()
    assert page.count("\n## ") == len(answers.STUDIES) and "nan" not in page
    assert (tmp_path / "science.png").stat().st_size > 10_000
    table = parquet.read_frame(tmp_path / "findings.parquet")
    assert (table["low"] <= table["high"]).all() and set(table["seeds"]) == {2}


def test_scores_of_other_sentences_are_refused(tmp_path):
    paths = [scored(tmp_path, seed, {}) for seed in range(2)]
    table = parquet.read_table(paths[1])
    parquet.write_table(paths[1], table.set_column(1, "id", pa.array(["x"] * len(table))))
    with pytest.raises(UserError, match="scored other sentences"):
        answers.Runs(paths, STUDY["evaluate"])
