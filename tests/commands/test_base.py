"""Pretraining learns from the train split alone, and the same way every time."""

import csv

import pyarrow as pa
import pytest

from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from tests.support.command import call
from tests.support.runs import BASE, MODEL


def model_bytes(folder):
    return (folder / "model.safetensors").read_bytes()


def test_the_base_is_the_same_twice_and_learns(corpus, tmp_path):
    for out in ("a", "b"):
        settings = {"model": MODEL, "base": {**BASE, "steps": 20}}
        call("base", given=settings, corpus=corpus, out=tmp_path / out)
    assert model_bytes(tmp_path / "a") == model_bytes(tmp_path / "b")
    rows = list(csv.DictReader((tmp_path / "a" / "curve.csv").open()))
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])


def test_the_number_of_threads_changes_no_byte(corpus, tmp_path):
    for threads in (1, 2, 3):
        settings = {"model": MODEL, "base": {**BASE, "shards": 3}}
        call("base", given=settings, corpus=corpus, out=tmp_path / str(threads), threads=threads)
    one, *others = (model_bytes(tmp_path / str(threads)) for threads in (1, 2, 3))
    assert others == [one, one]


def test_the_test_split_is_never_read_in_pretraining(corpus, tmp_path):
    settings = {"model": MODEL, "base": BASE}
    call("base", given=settings, corpus=corpus, out=tmp_path / "a")
    table = parquet.read_table(corpus)
    texts = table["text"].to_pylist()
    letters = sorted(set(texts[-1]))
    texts[-1] = "".join(letters)  # other text, same characters
    parquet.write_table(corpus, pa.table({"text": texts, "split": table["split"]}))
    call("base", given=settings, corpus=corpus, out=tmp_path / "b")
    assert model_bytes(tmp_path / "a") == model_bytes(tmp_path / "b")


def test_a_users_base_is_checked_and_copied(corpus, base, tmp_path):
    settings = {"model": MODEL, "base": {**BASE, "checkpoint": str(base)}}
    call("base", given=settings, corpus=corpus, out=tmp_path / "out")
    assert model_bytes(tmp_path / "out") == model_bytes(base)


def test_a_users_base_that_cannot_spell_the_corpus_is_refused_by_character(corpus, base, tmp_path):
    table = parquet.read_table(corpus)
    texts = [text.replace("school", "escuéla") for text in table["text"].to_pylist()]
    parquet.write_table(corpus, pa.table({"text": texts, "split": table["split"]}))
    settings = {"model": MODEL, "base": {**BASE, "checkpoint": str(base)}}
    with pytest.raises(UserError, match=r"config.json: model.vocab: lacks 'é' of .*corpus.parquet"):
        call("base", given=settings, corpus=corpus, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
