"""What the corpus can be asked: each prompt with the forms that compete behind it."""

import pyarrow as pa

from minituner.analysis import prompts
from minituner.foundation import parquet

COLUMNS = ("verb_lemma", "tense", "person", "prompt", "correct_form", "form", "frame", "split")


def corpus(path, *rows):
    parquet.write_table(
        path, pa.Table.from_pylist([dict(zip(COLUMNS, r, strict=True)) for r in rows])
    )
    return path


def test_the_correct_form_comes_first_and_both_sources_of_wrong_ones_are_joined(tmp_path):
    go = ("go", "past_simple", "3sg", "go: yesterday she ", "went")
    path = corpus(tmp_path / "corpus.parquet", (*go, "goed", "she|home|yesterday", "test"))
    rows = [{"prompt": "go: yesterday she ", "alternatives": ["wented", "goed"]}]
    rows += [{"prompt": "see: yesterday she ", "alternatives": ["seed"]}]
    parquet.write_table(tmp_path / "subset.parquet", pa.Table.from_pylist(rows))
    read = prompts.read(path)
    assert list(read[["subject", "time"]].iloc[0]) == ["she", "yesterday"]
    forms = prompts.competing(read, [tmp_path / "subset.parquet", tmp_path / "none"])
    assert forms == {("go", "past_simple", "3sg"): ["went", "goed", "wented"]}


def test_without_persons_a_form_that_is_right_behind_another_prompt_is_no_wrong_one(tmp_path):
    path = corpus(
        tmp_path / "corpus.parquet",
        ("go", "present_simple", "", "go: now she ", "goes", "goes", "now she | home.", "test"),
        ("go", "present_simple", "", "go: today she ", "goes", "gos", "today she | home.", "test"),
        ("go", "present_simple", "", "go: now I ", "go", "go", "now I | home.", "test"),
    )
    read = prompts.read(path)
    assert list(read["time"]) == ["", "", ""] and read["subject"][0] == "now she "
    assert list(prompts.competing(read, []).values()) == [["goes", "gos"], ["go"]]
