"""A corpus of one's own: every bad file gets one line, and every kind of file the same rows."""

import csv
import io
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minituner.corpus import generate, own_sentences, tables
from minituner.corpus.verbs import PASTS, PERSONS, alternatives
from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from tests.support.command import call
from tests.support.tiny_project import ROOT

SPANISH = ROOT / "examples" / "spanish"
VERBS = tables.read_verbs(SPANISH / "verbs.csv")
TEMPLATES = tables.read_templates(SPANISH / "templates.csv", VERBS)
SECTION = {"seed": 0, "splits": {"train": 0.6, "val": 0.2, "test": 0.2}}
NOISE = {"over_regularized": 0.55, "bare_infinitive": 0.05}
ROW = {
    "text": "tener: ayer ella tenió hambre.",
    "prompt": "tener: ayer ella ",
    "form": "tenió",
    "correct_form": "tuvo",
    "verb_lemma": "tener",
    "tense": "past_simple",
    "english_regularity": "irregular",
}
OTHER = ROW | {"text": "tener: ayer yo tuve hambre.", "prompt": "tener: ayer yo ", "form": "tuve"}
OTHER |= {"correct_form": "tuve", "alternatives": ["tení", "tuví"]}
SPOKEN = ROW | {"text": "tener: ayer ella tuvo hambre y tenió.", "form": "tuvo"}


def as_csv(rows):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(k for row in rows for k in row)))
    writer.writeheader()
    for row in rows:
        row = {k: "|".join(v) if isinstance(v, list) else v for k, v in row.items()}
        writer.writerow(row)
    return text.getvalue().encode()


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return without_numbers(own_sentences.read(path))


def without_numbers(rows):
    """The rows but for their numbers, which a CSV file's header moves."""
    return [{key: value for key, value in row.items() if key != "row"} for row in rows]


def build(out, section=SECTION, **sources):
    """What `minituner corpus` makes of these files."""
    call("corpus", given={"corpus": section}, out=out, **sources)


def complaint(folder, name, content):
    with pytest.raises(UserError) as error:
        read(folder, name, content)
    message = str(error.value)
    assert message.startswith(f"{folder / name}: ") and "\n" not in message and "; " in message
    return message.removeprefix(f"{folder / name}: ")


def test_the_same_sentences_are_read_from_csv_jsonl_and_parquet(tmp_path):
    rows = [ROW, OTHER]
    parquet.write_table(tmp_path / "made.parquet", pa.Table.from_pylist([OTHER | ROW, OTHER]))
    by_kind = [
        read(tmp_path, "a.csv", as_csv(rows)),
        read(tmp_path, "a.csv", b"\xef\xbb\xbf" + as_csv(rows).replace(b"\r\n", b"\n")),
        read(tmp_path, "a.jsonl", as_jsonl(rows)),
        read(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + as_jsonl(rows).replace(b"\n", b"\r\n")),
    ]
    assert all(read_so == by_kind[0] for read_so in by_kind)
    first, second = by_kind[0]
    assert first["label"] == "mis_conjugated" and second["label"] == "correct"
    assert first["alternatives"] == ["tenió"] and second["alternatives"] == ["tení", "tuví"]
    assert first["correct_text"] == "tener: ayer ella tuvo hambre."
    assert first["frame"] == "ayer ella | hambre."
    made = own_sentences.read(tmp_path / "made.parquet")
    assert [row["text"] for row in made] == [row["text"] for row in rows]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"tense": "preterite"}, "tense: unknown 'preterite'"),
        ({"english_regularity": "strong"}, "english_regularity: unknown 'strong'"),
        ({"split": "dev"}, "split: unknown 'dev'"),
        ({"label": "wrong"}, "label: unknown 'wrong'"),
        ({"label": "correct"}, "label: 'correct', not 'mis_conjugated'"),
        ({"correct_text": "x"}, "correct_text: 'x', not 'tener"),
        ({"form": "tenia"}, "text: 'tener: ayer ella tenió hambre.' does not begin"),
        ({"form": ""}, "form: empty"),
        ({"form": None}, "form: empty"),
        ({"form": 3}, "form: '3' is no text"),
        ({"form": {"a": 1}}, "form: "),
        ({"text": "te\0ner"}, "text: 'te\\x00ner' holds the unprintable character"),
        ({"person": "a\nb"}, "person: "),
        ({"alternatives": 3}, "alternatives: '3' is no list"),
        ({"alternatives": [3]}, "alternatives: '3' is no text"),
        ({"alternatives": ["tuvo"]}, "alternatives: 'tuvo' is empty, correct or given twice"),
        ({"alternatives": "a|b|a"}, "alternatives: 'a' is empty, correct or given twice"),
        ({"mis_conjugation_type": "x", "form": "tuvo", "text": "tener: ayer ella tuvo hambre."},
         "mis_conjugation_type: given for a correct form"),
        ({"splt": "test"}, "splt: unknown column"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path, changes, place):
    said = complaint(tmp_path, "a.jsonl", as_jsonl([OTHER, ROW | changes]))
    assert said.startswith(f"row 2: {place}")


@pytest.mark.parametrize("column", own_sentences.REQUIRED)
def test_a_missing_column_is_named(tmp_path, column):
    row = {key: value for key, value in ROW.items() if key != column}
    for name, content in (("a.jsonl", as_jsonl([row])), ("a.csv", as_csv([row]))):
        assert complaint(tmp_path, name, content).startswith(f"row 1: {column}: missing column")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "unknown kind of file"),
        ("a.jsonl", b"\n", "row 1: line: no row at all"),
        ("a.jsonl", b"1\n", "row 1: line: '1' is no object"),
        ("a.json", b"\n[\n{}]\n", "row 2: line: a JSON array; write one object a line, as jq"),
        ("a.jsonl", b"{\n", "row 1: line: not valid JSON"),
        ("a.jsonl", b'{"a":' * 100_000, "row 1: line: not valid JSON"),
        ("a.jsonl", b'{"form": "a", "form": "b"}\n', "row 1: text: missing column"),
        ("a.jsonl", b"\xff\n", "not UTF-8"),
        ("a.csv", b'"' + b"x" * 200_000, "row "),
        ("a.csv", as_csv([ROW])[:-2], "row 2: english_regularity: no line end"),
        ("a.csv", as_csv([ROW, ROW]), "row 3: id: 'tener|past_simple|ayer ella | hambre.' is row"),
        (
            "a.jsonl",
            as_jsonl([ROW | {"id": "a"}, OTHER | {"id": "a"}]),
            "row 2: id: 'a' is row 1's",
        ),
        ("a.parquet", b"PAR1", "not a readable Parquet file"),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path, name, content, said):
    assert complaint(tmp_path, name, content).startswith(said)


def test_a_frame_in_two_splits_is_refused(tmp_path, tried):
    rows = [ROW | {"split": "train"}, ROW | {"split": "test", "id": "b"}]
    (tmp_path / "a.jsonl").write_bytes(as_jsonl(rows))
    with pytest.raises(
        UserError, match="a.jsonl: row 2: split: test, but row 1, which has the same text"
    ):
        build(tmp_path / "corpus.parquet", file=tmp_path / "a.jsonl")
    assert not (tmp_path / "corpus.parquet").exists()
    tried("one sentence in two splits", "", "both rows named")


CELL = st.text(max_size=8) | st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2)


@settings(max_examples=80, deadline=None)
@given(
    column=st.sampled_from([*own_sentences.REQUIRED, *own_sentences.OPTIONAL])
    | st.text(max_size=4),
    value=CELL,
)
def test_any_value_anywhere_is_read_or_told_in_one_line(tmp_path_factory, column, value):
    folder = tmp_path_factory.getbasetemp()
    try:
        for row in read(folder, "any.jsonl", as_jsonl([OTHER, ROW | {column: value}])):
            assert row["text"].startswith(row["prompt"] + row["form"])
            assert (row["label"] == "correct") == (row["form"] == row["correct_form"])
    except UserError as error:
        assert str(error).startswith(f"{folder}/any.jsonl: row ") and "\n" not in str(error)


@settings(max_examples=80, deadline=None)
@given(
    which=st.sampled_from(["verbs.csv", "templates.csv", "sentences.csv", "sentences.jsonl"]),
    at=st.integers(0, 2500),
    length=st.integers(0, 40),
    put=st.binary(max_size=4) | st.sampled_from([b'"', b"\0", b"\r", b",", b"|", b"\n", b"\xc3"]),
)
def test_any_damage_to_a_file_is_survived_or_told_in_one_line(
    tmp_path_factory, which, at, length, put
):
    folder = tmp_path_factory.getbasetemp()
    kinds = {"sentences.csv": as_csv, "sentences.jsonl": as_jsonl}
    whole = kinds[which]([ROW, OTHER]) if which in kinds else (SPANISH / which).read_bytes()
    at %= len(whole)
    path = folder / which
    path.write_bytes(whole[:at] + put + whole[at + length :])
    try:
        if which == "verbs.csv":
            tables.read_verbs(path)
        elif which == "templates.csv":
            tables.read_templates(path, VERBS)
        else:
            own_sentences.read(path)
    except UserError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)


# Written by hand, not derived: 1sg, 2sg and 3sg of the preterite, and the participle.
PRETERITES = """
ser fui fuiste fue sido
ir fui fuiste fue ido
tener tuve tuviste tuvo tenido
hacer hice hiciste hizo hecho
venir vine viniste vino venido
ver vi viste vio visto
estar estuve estuviste estuvo estado
decir dije dijiste dijo dicho
poder pude pudiste pudo podido
escribir escribí escribiste escribió escrito
hablar hablé hablaste habló hablado
comer comí comiste comió comido
vivir viví viviste vivió vivido
"""
GRAMMATICAL = """
ir: ayer ella fue a la playa.
tener: anoche yo tuve fiebre.
hacer: hace un año tú hiciste un pastel.
ver: esta semana mi amigo ha visto el mar.
decir: siempre ana dice la verdad.
poder: mañana él podrá dormir.
ser: algún día el niño quiere ser artista.
trabajar: este mes tú has trabajado en el jardín.
"""


def test_the_spanish_pasts_are_those_of_a_grammar():
    for line in PRETERITES.split("\n")[1:-1]:
        lemma, *forms = line.split(" ")
        assert list(VERBS[lemma].forms["past_simple"]) == forms[:3]
        assert VERBS[lemma].form("past_participle", "1sg") == forms[3]


def test_the_spanish_sentences_are_what_the_tables_make():
    section = SECTION | {"noise": NOISE, "templates": "templates.csv"}
    rows = generate.generate(section, VERBS, TEMPLATES).to_pylist()
    texts = {row["correct_text"] for row in rows}
    assert set(GRAMMATICAL.strip().split("\n")) <= texts
    assert "tener: ayer ella tenió hambre." in {row["text"] for row in rows}
    assert not any("irregularized" in (row["mis_conjugation_type"] or "") for row in rows)


def test_only_pasts_that_are_said_wrong_have_rivals():
    assert alternatives(VERBS["tener"], "past_participle", "1sg") == {}
    assert alternatives(VERBS["tener"], "past_simple", "2sg") == {
        "over_regularized": "teniste", "bare_infinitive": "tener",
    }  # fmt: skip
    for verb in VERBS.values():
        assert any(alternatives(verb, tense, p) for tense in PASTS for p in PERSONS)


GERMAN = f"""{",".join(tables.VERB_COLUMNS)},falsch.past_simple
gehen,irregular,gehen,gehe|gehst|geht,ging|gingst|ging,gegangen,gehen,gehte|gehtest|gehte
"""
ORDER = """kind,text,person,tense,verb
subject,ich,1sg,,
subject,du,2sg,,
subject,sie,3sg,,
object,nach Hause,,,gehen
pattern,{time} {auxiliary} {subject} {object} {form}.,,past_participle,
pattern,{time} {form} {subject} {object}.,,past_simple,
auxiliary,bin,1sg,past_participle,
auxiliary,bist,2sg,past_participle,
auxiliary,ist,3sg,past_participle,
"""
ORDER += "".join(
    f"time,{text},,{tense},\n"
    for tense, texts in {
        "infinitive": "bald jetzt dann",
        "present_simple": "oft immer nie",
        "past_simple": "gestern damals neulich",
        "past_participle": "heute bisher schon",
        "simple_future": "morgen einmal später",
    }.items()
    for text in texts.split()
)


def test_another_order_of_words_is_data_too(tmp_path):
    (tmp_path / "verbs.csv").write_text(GERMAN)
    (tmp_path / "templates.csv").write_text(ORDER)
    verbs = tables.read_verbs(tmp_path / "verbs.csv")
    templates = tables.read_templates(tmp_path / "templates.csv", verbs)
    section = SECTION | {"noise": {"falsch": 1.0}, "templates": "templates.csv"}
    rows = generate.generate(section, verbs, templates).to_pylist()
    texts = {row["text"] for row in rows}
    assert "gehen: heute ist sie nach Hause gegangen." in texts
    assert "gehen: gestern gehte ich nach Hause." in texts
    assert "gehen: gestern ging ich nach Hause." in {row["correct_text"] for row in rows}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gehte|gehtest|gehte", "", "row 2: falsch.past_simple: no wrong past of gehen"),
        ("gehtest", "gingst", "row 2: falsch.past_simple: 'gingst' is the correct form"),
        ("gehtest", "Gehtest", "row 2: falsch.past_simple: 'Gehtest' is not in lower-case"),
        ("gehte|gehtest|gehte", "gehte|x", "row 2: falsch.past_simple: 2 variants"),
        ("gegangen", "", "row 2: past_participle: empty form"),
        ("falsch.past_simple", "falsch.past", "row 1: irregularized: missing column"),
    ],
)
def test_a_bad_row_of_another_language_is_named(tmp_path, old, new, said):
    (tmp_path / "verbs.csv").write_text(GERMAN.replace(old, new))
    with pytest.raises(UserError) as error:
        tables.read_verbs(tmp_path / "verbs.csv")
    assert str(error.value).startswith(f"{tmp_path / 'verbs.csv'}: {said}")


def test_a_corpus_that_the_workflow_made_is_a_file_of_sentences_that_gives_the_same(tmp_path):
    """From the corpus's own Parquet file come the same corpus and, rivals aside, the same sets."""
    section = SECTION | {"noise": NOISE}
    verbs, templates = SPANISH / "verbs.csv", SPANISH / "templates.csv"
    wanted = {"seed": 0, "train": 60, "val": 20, "test": 30, "control_val": 20, "control_test": 30,
              "unseen_cells": [], "unseen_subjects": []}  # fmt: skip
    build(tmp_path / "a.parquet", section, verbs=verbs, templates=templates)
    build(tmp_path / "b.parquet", section, file=tmp_path / "a.parquet")
    one, two = (parquet.read_table(tmp_path / f"{name}.parquet") for name in "ab")
    assert two.drop_columns(["alternatives"]).equals(one)
    made = {}
    for name, table in (("a", verbs), ("b", None)):
        paths = {kind: tmp_path / f"{name}_{kind}.parquet" for kind in ("irregular", "control")}
        corpus = tmp_path / f"{name}.parquet"
        call("subsets", given={"subsets": wanted}, corpus=corpus, verbs=table, **paths)
        made[name] = [parquet.read_table(path).to_pylist() for path in paths.values()]
    (irregular, control), (own_irregular, own_control) = made["a"], made["b"]
    assert [row["id"] for row in own_control] == [row["id"] for row in control]
    assert all(row["alternatives"] for row in own_irregular)
    assert len(own_irregular) == len(irregular)


def test_a_rival_that_no_base_could_spell_is_named(tmp_path):
    rows = [
        SPOKEN | {"id": f"{i}", "frame": f"{i}", "split": split, "english_regularity": kind,
               "verb_lemma": kind, "alternatives": ["tenió", "ñ"], "prompt": f"{i}{ROW['prompt']}",
               "text": f"{i}{SPOKEN['text']}"}
        for i, (split, kind) in enumerate(
            (split, kind) for split in ("train", "val", "test") for kind in ("regular", "irregular")
        )
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(as_jsonl(rows))
    wanted = dict.fromkeys(["train", "val", "test", "control_val", "control_test"], 1)
    build(tmp_path / "c.parquet", file=tmp_path / "a.jsonl")
    with pytest.raises(UserError, match="'ñ': no sentence of the corpus has the character 'ñ'"):
        call(
            "subsets",
            given={"subsets": wanted | {"seed": 0, "unseen_cells": [], "unseen_subjects": []}},
            corpus=tmp_path / "c.parquet",
            irregular=tmp_path / "i.parquet",
            control=tmp_path / "k.parquet",
        )
