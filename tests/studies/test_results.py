"""Findings say no more than their intervals, and what is compared is paired."""

import numpy as np
import pandas as pd
import pytest

from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from studies.results import Scores, family, told
from tests.analysis.made import STUDY


@pytest.mark.parametrize(
    ("value", "p", "said"),
    [
        (0.1, 0.01, "accuracy is higher, +10.0 points [-0.0, +20.0]"),
        (-0.1, 0.01, "accuracy is lower, -10.0 points [-0.0, +20.0]"),
        (0.1, 0.06, "no significant difference in accuracy, +10.0 points [-0.0, +20.0]"),
    ],
)
def test_a_sentence_claims_a_difference_only_if_it_is_significant(value, p, said):
    row = {"metric": "accuracy", "against": "base", "value": value, "low": -0.0, "high": 0.2}
    assert told(row | {"p": p}) == said


def test_a_questions_differences_of_one_measure_are_corrected_together():
    rows = [{"metric": "margin", "p": 0.03}, {"metric": "drift", "p": 0.03}]
    rows = family([*rows, {"metric": "margin", "p": 0.02}])
    assert [row["p"] for row in rows] == [0.04, 0.03, 0.04]


def scored(folder, seed, right, at="end"):
    """A made file of scores: `right` gives each run's share of right sentences."""
    draw = np.random.default_rng(seed)
    tables = []
    for name, share in right.items():
        for i in range(120):
            chosen = bool(draw.random() < share)
            tables.append(
                {
                    "variant": name, "at": "end" if name == "base" else at, "reached": True,
                    "id": f"{i:03}", "set": "irregular" if i < 80 else "control",
                    "split": "test" if i % 4 else "val", "pair": f"{i:03}",
                    "verb_lemma": ("go", "eat")[i // 2 % 2], "tense": "past_simple",
                    "chosen": chosen, "exact": chosen, "margin": 1.0 if chosen else -1.0,
                    "correct_logp": -1.0, "form_nats": 1.0, "form_symbols": 5,
                    "sentence_nats": 5 + draw.random(), "sentence_symbols": 30,
                }
            )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_frame(folder / f"s{seed}.parquet", pd.DataFrame(tables))
    return folder / f"s{seed}.parquet"


def test_differences_are_paired_by_seed_and_have_a_p_value(tmp_path):
    right = {"base": 0.1, "run": 0.9, "same": 0.9}
    scores = Scores([scored(tmp_path, seed, right) for seed in range(4)], STUDY["evaluate"])
    gain = scores.row("study", "run", "accuracy", "run", "base")
    assert 0.6 < gain["low"] < gain["value"] < gain["high"] and gain["p"] < 0.05
    equal = scores.row("study", "run", "accuracy", "same", "run")
    assert equal["p"] > 0.05 and equal["low"] < 0 < equal["high"]
    assert scores.row("study", "run", "accuracy", "run", "run")["value"] == 0
    assert scores.row("study", "run", "accuracy", "run")["p"] is None


def test_a_run_scored_on_its_way_is_held_against_the_base_on_the_same_sentences(tmp_path):
    paths = []
    for seed in range(2):
        path = scored(tmp_path, seed, {"base": 0.1, "run": 0.9}, at="drift")
        table = parquet.read_frame(path)
        parquet.write_frame(path, table[(table["variant"] == "base") | (table["split"] == "test")])
        paths.append(path)
    scores = Scores(paths, STUDY["evaluate"])
    row = scores.row("study", "run", "accuracy", "run", "base", at="drift")
    assert row["value"] > 0.6 and scores.reached["run", "drift"] == [True, True]


def test_scores_of_other_sentences_are_refused(tmp_path):
    paths = [scored(tmp_path, seed, {"base": 0.1, "run": 0.9}) for seed in range(2)]
    table = parquet.read_frame(paths[1])
    table.loc[table["variant"] == "run", "id"] = "another"
    parquet.write_frame(paths[1], table)
    with pytest.raises(UserError, match="scored other sentences"):
        Scores(paths, STUDY["evaluate"])
