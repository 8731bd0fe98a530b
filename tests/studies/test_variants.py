"""The studies' variants: what each is tuned on, and a seed taken through them all."""

import json

import pytest

from minituner import train
from minituner.foundation import parquet
from minituner.workflow import cli
from studies import variants
from tests.analysis.made import STUDY
from tests.support.command import call
from tests.support.runs import NF4
from tests.support.sentences import SENTENCES, subset_rows

ROWS = subset_rows(SENTENCES[:4], ("train",))


def test_what_two_studies_share_is_run_once():
    by_name = variants.variants(STUDY, ["go", "eat"])
    assert list(by_name) == [
        "standard", "whole_sentence", "without_go", "without_eat", "examples_3", "lora_r1_0.002",
        "lora_r2_0.001", "lora_r2_0.002", "qlora_0.001", "qlora_0.002", "full_0.0001",
    ]  # fmt: skip
    assert len({json.dumps(variant) for variant in by_name.values()}) == len(by_name)


def test_a_verb_left_out_is_in_no_example():
    pairs = variants.examples(ROWS, {"without": "go"}, 0)
    assert len(pairs) == 2 and all(text.startswith("eat:") for text, _ in pairs)


def test_fewer_examples_are_among_the_more_and_spread_over_the_cells():
    two, three = (variants.examples(ROWS, {"examples": n}, 0) for n in (2, 3))
    assert len(three) == 3 and set(two) < set(three)


class Tuned(Exception):
    """Raised in place of tuning, with what would be tuned on."""


def test_the_standard_examples_are_those_of_the_tuning_itself(
    base, irregular, tmp_path, monkeypatch
):
    def tune(model, settings, examples, seed, **how):
        raise Tuned(examples)

    monkeypatch.setattr(train, "tune", tune)
    paths = {"base": base, "irregular": irregular, "out": tmp_path / "out"}
    with pytest.raises(Tuned) as stopped:
        call("train", given=STUDY, method="lora", rank=1, seed=0, **paths)
    (tuned_on,) = stopped.value.args
    rows = [r for r in parquet.read_table(irregular).to_pylist() if r["split"] == "train"]
    rows = [r for r in rows if r["set"] == "irregular"]
    assert variants.examples(rows, {}, 0) == tuned_on["train"]


def test_the_whole_sentence_is_shown_with_its_end():
    (text, seen), *_ = variants.examples(ROWS, {"loss": "sentence"}, 0)
    assert text == "go: yesterday she went to school.\n" and seen == len(text)


def test_a_study_runs_from_files_to_page(base, irregular, control, tmp_path):
    call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "nf4")
    text = json.dumps({key: STUDY[key] for key in ("science", "lora", "tuning")})
    common = ["study", "--settings", text, "--base", base, "--nf4", tmp_path / "nf4",
              "--irregular", irregular, "--control", control, "--seed", "0"]  # fmt: skip
    for name in ("s0", "again"):
        out = tmp_path / f"{name}.parquet"
        assert cli.main([str(a) for a in [*common, "--out", out]]) == 0
    assert (tmp_path / "s0.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    table = parquet.read_frame(tmp_path / "s0.parquet")
    assert list(table["variant"].unique()) == ["base", *variants.variants(STUDY, ["eat", "go"])]
