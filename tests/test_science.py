"""The studies' variants, and findings that say no more than their intervals."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import SENTENCES, subset_rows

from minituner import qlora, train
from minituner.analysis import studies, variants
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.workflow import cli

SETTINGS = {
    "science": {
        "ranks": [1, 2],
        "learning_rates": [0.001, 0.002],
        "full_learning_rates": [0.0001],
        "examples": [3],
        "accuracy": 0.5,
    },
    "evaluate": {"bootstrap": 50, "confidence": 0.95, "seed": 0},
    "tuning": {
        "steps": 2,
        "batch_size": 4,
        "shards": 1,
        "learning_rate": 0.001,
        "warmup": 1,
        "eval_every": 2,
    },
    "lora": {"target_modules": ["q_proj", "v_proj"], "alpha": 4, "dropout": 0.0},
    "subsets": {"train": 4},
    "definition_of_done": {"accuracy_gain": 0.1, "perplexity_drift": 0.05},
}
ROWS = subset_rows(SENTENCES[:4], ("train",))


def test_what_two_studies_share_is_run_once():
    found = variants.variants(SETTINGS, ["go", "eat"])
    assert list(found) == [
        "standard", "whole_sentence", "without_go", "without_eat", "examples_3", "lora_r1_0.002",
        "lora_r2_0.001", "lora_r2_0.002", "qlora_0.001", "qlora_0.002", "full_0.0001",
    ]  # fmt: skip
    assert len({json.dumps(v) for v in found.values()}) == len(found)


def test_a_verb_left_out_is_in_no_example():
    pairs = variants.examples(ROWS, {"without": "go"}, 0)
    assert len(pairs) == 2 and all(text.startswith("eat:") for text, _ in pairs)


def test_fewer_examples_are_among_the_more_and_spread_over_the_cells():
    two, three = (variants.examples(ROWS, {"examples": n}, 0) for n in (2, 3))
    assert len(three) == 3 and set(two) < set(three)


def test_the_standard_examples_are_those_of_the_tuning_itself(irregular):
    rows = [r for r in storage.read_table(irregular).to_pylist() if r["split"] == "train"]
    rows = [r for r in rows if not r["probe"]]
    assert variants.examples(rows, {}, 0) == train.tuning_examples(irregular, "train")


def test_the_whole_sentence_is_shown_with_its_end():
    (text, seen), *_ = variants.examples(ROWS, {"loss": "sentence"}, 0)
    assert text == "go: yesterday she went to school.\n" and seen == len(text)


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
    assert studies.told({"metric": "accuracy", "value": 0.1, "low": low, "high": high}) == said


def scored(folder, seed, right):
    """A made file of scores: `right` gives each variant's share of right test sentences."""
    draw = np.random.default_rng(seed)
    tables = []
    for name in ["base", *variants.variants(SETTINGS, ["go", "eat"])]:
        rows = []
        for i in range(120):
            chosen = bool(draw.random() < right.get(name, 0.9))
            rows.append(
                {
                    "variant": name, "id": f"{i:03}", "set": "irregular" if i < 80 else "control",
                    "split": "test" if i % 2 else "val", "frame": f"{i:03}", "probe": False,
                    "verb_lemma": ("go", "eat")[i // 2 % 2], "tense": "past_simple",
                    "chosen": chosen, "exact": chosen, "margin": 1.0 if chosen else -1.0,
                    "form_nats": 1.0, "form_symbols": 5, "sentence_nats": 5 + draw.random(),
                    "sentence_symbols": 30,
                }
            )  # fmt: skip
        tables.append(pd.DataFrame(rows))
    storage.write_table(folder / f"s{seed}.parquet", pa.Table.from_pandas(pd.concat(tables)))
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
    paths = [scored(tmp_path, seed, right) for seed in range(2)]
    _, sentence = studies.leave_one_out(studies.Runs(paths, SETTINGS["evaluate"]), SETTINGS)
    assert said in sentence


def test_the_page_has_every_study_with_its_numbers(tmp_path):
    paths = [scored(tmp_path, seed, {"base": 0.1}) for seed in range(2)]
    studies.report(SETTINGS, paths, tmp_path, tmp_path / "science.md")
    page = (tmp_path / "science.md").read_text()
    assert page.count("\n## ") == len(studies.STUDIES) and "nan" not in page
    assert (tmp_path / "science.png").stat().st_size > 10_000
    table = storage.read_table(tmp_path / "findings.parquet").to_pandas()
    assert (table["low"] <= table["high"]).all() and set(table["seeds"]) == {2}


def test_scores_of_other_sentences_are_refused(tmp_path):
    paths = [scored(tmp_path, seed, {}) for seed in range(2)]
    table = storage.read_table(paths[1])
    storage.write_table(paths[1], table.set_column(1, "id", pa.array(["x"] * len(table))))
    with pytest.raises(UserError, match="scored other sentences"):
        studies.Runs(paths, SETTINGS["evaluate"])


def test_a_study_runs_from_files_to_page(base, irregular, control, tmp_path):
    qlora.quantize_checkpoint(
        {"lora": SETTINGS["lora"], "nf4": {"blocksize": 64, "double_quant": False}},
        base, tmp_path / "nf4",
    )  # fmt: skip
    given = json.dumps({key: SETTINGS[key] for key in ("science", "lora", "tuning")})
    common = ["study", "--settings", given, "--base", base, "--nf4", tmp_path / "nf4",
              "--irregular", irregular, "--control", control, "--seed", "0"]  # fmt: skip
    for name in ("s0", "again"):
        out = tmp_path / f"{name}.parquet"
        assert cli.main([str(a) for a in [*common, "--out", out]]) == 0
    assert (tmp_path / "s0.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    table = storage.read_table(tmp_path / "s0.parquet").to_pandas()
    assert list(table["variant"].unique()) == ["base", *variants.variants(SETTINGS, ["eat", "go"])]
