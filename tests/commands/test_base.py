"""Pretraining learns from the train split alone, and the same way every time."""

import csv

import pyarrow as pa
import pytest

from minituner.foundation import parquet, storage
from minituner.foundation.errors import UserError
from tests.support.command import call
from tests.support.runs import BASE, MODEL


def model_bytes(folder):
    return (folder / "model.safetensors").read_bytes()


def rewrite(corpus, **columns):
    """Replace columns of a corpus."""
    table = parquet.read_table(corpus)
    kept = {name: table[name] for name in table.column_names}
    parquet.write_table(corpus, pa.table(kept | columns))


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
    texts = parquet.read_table(corpus)["text"].to_pylist()
    letters = sorted(set(texts[-1]))
    texts[-1] = "".join(letters)  # other text, same characters
    rewrite(corpus, text=texts, correct_text=texts)
    call("base", given=settings, corpus=corpus, out=tmp_path / "b")
    assert model_bytes(tmp_path / "a") == model_bytes(tmp_path / "b")


def test_a_users_base_is_checked_and_copied(corpus, base, tmp_path):
    settings = {"model": MODEL, "base": {**BASE, "checkpoint": str(base)}}
    call("base", given=settings, corpus=corpus, out=tmp_path / "out")
    assert model_bytes(tmp_path / "out") == model_bytes(base)


def test_a_users_base_that_cannot_spell_the_corpus_is_refused_by_character(corpus, base, tmp_path):
    texts = parquet.read_table(corpus)["text"].to_pylist()
    rewrite(corpus, text=[text.replace("school", "escuéla") for text in texts])
    settings = {"model": MODEL, "base": {**BASE, "checkpoint": str(base)}}
    with pytest.raises(UserError, match=r"config.json: model.vocab: lacks 'é' of .*corpus.parquet"):
        call("base", given=settings, corpus=corpus, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("column", ["text", "correct_text"])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_sentence_too_long_for_the_context_is_named_before_anything_is_trained(
    corpus, base, tmp_path, column, checkpoint, tried
):
    texts = parquet.read_table(corpus)[column].to_pylist()
    rewrite(corpus, **{column: [texts[0] + texts[0] * 2, *texts[1:]]})
    settings = {"model": MODEL, "base": {**BASE, "checkpoint": str(base) if checkpoint else None}}
    wanted = len(texts[0]) * 3 + 1
    with pytest.raises(UserError, match=f"corpus.parquet: text: .* model.context = {wanted} or"):
        call("base", given=settings, corpus=corpus, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    if not checkpoint:
        settings["model"] = {**MODEL, "context": wanted}
        call("base", given=settings, corpus=corpus, out=tmp_path / "out")
    tried(
        "a sentence longer than the context", "", "named with the setting to raise, before training"
    )


def test_a_language_of_many_signs_is_learnt_as_any_other(corpus, tmp_path, tried):
    """Japanese has thousands; the vocabulary is as large as the corpus asks for."""
    texts = parquet.read_table(corpus)["text"].to_pylist()
    signs = ["".join(map(chr, range(0x4E00 + 40 * i, 0x4E00 + 40 * (i + 1)))) for i in range(8)]
    texts = [text[:20] + sign for text, sign in zip(texts, signs, strict=True)]
    rewrite(corpus, text=texts, correct_text=texts)
    call("base", given={"model": MODEL, "base": BASE}, corpus=corpus, out=tmp_path / "out")
    vocab = storage.read_json(tmp_path / "out" / "config.json")["model"]["vocab"]
    assert set(vocab) == {"\n"}.union(*texts) and len(vocab) > 320
    tried("a language of hundreds of signs", "", "the vocabulary has them all")
