"""Two runs against each other: paired, signed the right way round, and of the same sentences."""

import numpy as np
import pandas as pd
import pytest

from minituner.analysis import compare
from minituner.analysis.metrics import read_run
from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from minituner.workflow import cli

SETTINGS = {"bootstrap": 200, "confidence": 0.95, "seed": 0}


def evaluation(shift, noise=0.0, n=60):
    """Sentences of two verbs whose margin is `shift`, more for eat than for go."""
    draw = np.random.default_rng(1)
    verbs = ["go", "eat"] * (n // 2)
    margin = np.where(np.array(verbs) == "go", shift, 2 * shift) + noise * draw.normal(size=n)
    return pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(n)],
            "set": ["irregular"] * n,
            "split": "test",
            "verb_lemma": verbs,
            "tense": "past_simple",
            "pair": [f"f{i // 2}" for i in range(n)],
            "margin": margin,
            "correct_logp": -np.log1p(np.exp(-margin)),
            "chosen": margin > 0,
            "exact": margin > 1,
        }
    )


@pytest.fixture
def results(tmp_path):
    for name, shift in {"base": -1, "lora_r1_s0": 1, "lora_r1_s1": 3, "lora_r8_s0": 1}.items():
        parquet.write_frame(tmp_path / "evaluate" / "runs" / f"{name}.parquet", evaluation(shift))
    return tmp_path


def tables(results, name):
    return [read_run(path) for path in compare.members(name, results).values()]


def test_a_rank_stands_for_all_its_seeds_and_a_run_for_itself(results):
    assert list(compare.members("lora_r1", results)) == ["lora_r1_s0", "lora_r1_s1"]
    assert list(compare.members("lora_r1_s1", results)) == ["lora_r1_s1"]
    path = results / "evaluate" / "runs" / "base.parquet"
    assert list(compare.members(str(path), results).values()) == [path]


def test_differences_are_the_second_minus_the_first_and_paired(results):
    one, other = tables(results, "base"), tables(results, "lora_r1_s0")
    rows = {row.metric: row for row in compare.differences(one, other, SETTINGS)}
    margin = rows["margin"]
    assert (margin.one, margin.other, margin.value) == (-1.5, 1.5, 3)
    # Each pair holds both verbs, so every resample differs by the same: paired, not independent.
    assert margin.low == margin.high == 3
    by_verb = {row.verb: row for row in compare.verb_differences(one, other, SETTINGS)}
    assert by_verb["go"].value == 2 and by_verb["eat"].value == 4


def test_seeds_widen_the_interval(results):
    one, other = tables(results, "base"), tables(results, "lora_r1")
    rows = {row.metric: row for row in compare.differences(one, other, SETTINGS)}
    margin = rows["margin"]
    assert (margin.other, margin.value) == (3, 4.5) and margin.low < 4.5 < margin.high


def test_a_difference_that_excludes_zero_is_starred_and_no_other(results):
    text = compare.compare(SETTINGS, ["lora_r1_s0", "lora_r8_s0"], results)
    assert "*" not in text.partition("\n")[2]
    text = compare.compare(SETTINGS, ["base", "lora_r1_s0"], results)
    (margin,) = [line for line in text.splitlines() if line.startswith("margin ")]
    assert margin.endswith("+3.0000 [+3.0000, +3.0000] *")


def test_runs_on_other_sentences_are_refused(results):
    parquet.write_frame(results / "other.parquet", evaluation(1, n=40))
    with pytest.raises(UserError, match="scored on other sentences than base"):
        compare.compare(SETTINGS, ["base", str(results / "other.parquet")], results)


def test_an_unknown_run_names_those_there_are(results, capsys):
    assert cli.main(["compare", "base", "lora_r3", "--results", str(results)]) == 2
    error = capsys.readouterr().err
    assert "all seeds of one of base, lora_r1, lora_r8" in error and error.count("\n") == 1
