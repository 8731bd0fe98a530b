"""Tables as spreadsheets, pandas and word processors leave them: read alike, or named in a line."""

import csv
import gzip
import io
import json

import pandas as pd
import pytest

from minituner.corpus import own_sentences, rows, tables
from minituner.foundation.errors import UserError
from tests.corpus.english_data import DATA

COLUMNS = own_sentences.REQUIRED
PRESENT = "می\u200cروم|می\u200cروی|می\u200cرود"  # I, you, she in Persian
SAID = ("past_simple", "irregular")
ROWS = [
    ("go: once she goed home.", "go: once she ", "goed", "went", "go", *SAID),
    ("go: once i went in, out.", "go: once i ", "went", "went", "go", *SAID),
    ("see: once i seed a dog.", "see: once i ", "seed", "saw", "see", *SAID),
]
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def table(sentences, delimiter=","):
    """The bytes of a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(COLUMNS), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(sentences)
    return text.getvalue().encode()


def lines(sentences):
    """The bytes of a JSONL file, as `json` escapes them."""
    return "".join(json.dumps(row) + "\n" for row in sentences).encode()


def written(old, new):
    """The sentences with a piece of each text replaced."""
    return [{name: cell.replace(old, new) for name, cell in row.items()} for row in ROWS]


def read(folder, name, content):
    (folder / name).write_bytes(content)
    return own_sentences.read(folder / name)


def texts(sentences):
    return [sentence["text"] for sentence in sentences]


def complaint(folder, name, content):
    with pytest.raises(UserError) as error:
        read(folder, name, content)
    message = str(error.value)
    assert message.startswith(f"{folder / name}: ") and "\n" not in message
    return message.removeprefix(f"{folder / name}: ")


@pytest.mark.parametrize(("how", "cell"), [({}, "a b"), ({"trim": False}, " a  b ")])
def test_blanks_round_a_cell_are_dropped_unless_a_sentence_is_meant(tmp_path, how, cell):
    (tmp_path / "a.csv").write_text("x,y\n a  b ,c\n", encoding="utf-8")
    ((row, _),) = rows.csv_rows(tmp_path / "a.csv", lambda columns, fault: None, **how)
    assert row == {"x": cell, "y": "c"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.tsv.gz"])
def test_a_table_is_read_whatever_divides_its_cells_and_packed_or_not(
    tmp_path, delimiter, name, tried
):
    content = table(ROWS, delimiter)
    content = gzip.compress(content) if name.endswith(".gz") else content
    assert texts(read(tmp_path, name, content)) == texts(ROWS)
    reports = "ckan/ckan#3922 asreview/asreview#302"
    tried("semicolons or tabs between cells; `.tsv`, `.csv.gz`", reports, "read")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_verbs_and_templates_too_come_from_any_spreadsheet(tmp_path, delimiter):
    """A semicolon inside a cell is text, since the header shows what divides cells."""
    verbs = tables.read_verbs(DATA / "verbs.csv")
    templates = tables.read_templates(DATA / "templates.csv", verbs)
    for name in ("verbs", "templates"):
        with open(DATA / f"{name}.csv", encoding="utf-8", newline="") as file:
            cells = list(csv.reader(file))
        with open(tmp_path / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows(cells)
    assert tables.read_verbs(tmp_path / "verbs.csv") == verbs
    assert tables.read_templates(tmp_path / "templates.csv", verbs) == templates


@pytest.mark.parametrize("content", [table(ROWS, "|"), b"PK\3\4 a spreadsheet's own file\n"])
def test_a_table_divided_by_something_else_is_told_what_may_divide_it(tmp_path, content, tried):
    said = complaint(tmp_path, "a.csv", content)
    assert said.startswith("row 1: ") and "a single column; separate the cells by commas" in said
    tried("another delimiter, or a spreadsheet's own file", "", "named with the remedy")


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.jsonl.gz"])
def test_objects_line_by_line_are_read_and_a_json_array_is_named_with_the_remedy(
    tmp_path, name, tried
):
    pack = gzip.compress if name.endswith(".gz") else bytes
    assert texts(read(tmp_path, name, pack(lines(ROWS)))) == texts(ROWS)
    for indent in (None, 2):
        said = complaint(tmp_path, name, pack(json.dumps(ROWS, indent=indent).encode()))
        assert said.startswith("row 1: line: a JSON array; write one object a line")
    tried("a JSON array for JSON lines", "hiyouga/LlamaFactory#8805", "named with the remedy")


def test_the_index_that_pandas_writes_is_named_with_the_remedy_wherever_it_comes_from(
    tmp_path, tried
):
    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "plain.csv")
    pd.read_csv(tmp_path / "plain.csv").to_csv(tmp_path / "again.csv", index=False)
    frame.reset_index().to_csv(tmp_path / "reset.csv", index=False)
    frame.iloc[[0, 2, 1]].to_parquet(tmp_path / "some.parquet")
    names = {"plain.csv": "(empty)", "again.csv": "Unnamed: 0", "reset.csv": "index",
             "some.parquet": "__index_level_0__"}  # fmt: skip
    for name, column in names.items():
        with pytest.raises(UserError) as error:
            own_sentences.read(tmp_path / name)
        said = str(error.value).removeprefix(f"{tmp_path / name}: row 1: {column}: ")
        assert said == "the numbers of pandas' rows; save the table with index=False"
    frame.to_parquet(tmp_path / "all.parquet")
    assert texts(own_sentences.read(tmp_path / "all.parquet")) == texts(ROWS)
    reports = "pola-rs/polars#7291 instructlab/sdg#142"
    tried("pandas' index as a column", reports, "named with the remedy")


@pytest.mark.parametrize("blank", "\u00a0\u202f\u2009\u2003\u2007\u3000")
def test_every_kind_of_blank_is_a_blank_also_where_the_columns_differ(
    tmp_path, capsys, blank, tried
):
    for content in (table, lines):
        for sentences in (
            written(" ", blank),
            [row | {"text": row["text"].replace(" ", blank)} for row in ROWS],
        ):
            assert texts(read(tmp_path, "a.csv" if content is table else "a.jsonl",
                              content(sentences))) == texts(ROWS)  # fmt: skip
    assert capsys.readouterr().err == ""
    tried("no-break, narrow and wide blanks", "rspeer/wordfreq#78", "blanks as any other")


@pytest.mark.parametrize("joiner", rows.JOINERS)
def test_a_joiner_inside_or_behind_a_word_is_spelling(tmp_path, capsys, joiner, tried):
    """Behind one too: older Malayalam and Bengali texts write a bare consonant at the end so."""
    sentences = written("went", f"we{joiner}nt{joiner}")
    assert texts(read(tmp_path, "a.csv", table(sentences))) == texts(sentences)
    assert texts(read(tmp_path, "a.jsonl", lines(sentences))) == texts(sentences)
    assert capsys.readouterr().err == ""
    tried("U+200C and U+200D inside words", "kepano/defuddle#103", "letters of the word")


@pytest.mark.parametrize("unseen", "\u00ad\u200b\u2060\ufeff\u200e\u200f\u202b\u2069")
def test_what_copied_text_has_unseen_is_removed_with_a_word(tmp_path, capsys, unseen, tried):
    for content in (table, lines):
        name = "a.csv" if content is table else "a.jsonl"
        assert texts(read(tmp_path, name, content(written("oe", f"o{unseen}e")))) == texts(ROWS)
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"minituner: {tmp_path / name}: removed, since unseen: ")
        assert said.endswith(" (2)"), "in a text and in a form"
    kind = "soft hyphens, zero-width spaces, marks of direction"
    tried(kind, "UniversalDependencies/docs#1010", "removed, as stderr says")


def test_a_joiner_before_a_word_is_removed_with_a_word(tmp_path, capsys):
    sentences = written("she ", "\u200cshe \u200d")
    assert texts(read(tmp_path, "a.csv", table(sentences))) == texts(ROWS)
    assert "zero width non-joiner (2), zero width joiner (2)" in capsys.readouterr().err


@pytest.mark.parametrize("unseen", ["\u2028", "\x85", "\u180e"])
def test_what_might_be_a_line_end_or_a_letter_is_not_removed_but_named(tmp_path, unseen):
    said = complaint(tmp_path, "a.csv", table(written("went", f"we{unseen}nt")))
    assert "holds the unprintable character" in said


def test_letters_and_accents_that_something_unseen_divided_are_one_letter(tmp_path):
    sentences = written("went", "we\u00ad\u0301nt")
    assert texts(read(tmp_path, "a.csv", table(sentences)))[1] == "go: once i w\u00e9nt in, out."


def test_sentences_that_differ_in_joiners_alone_are_kept_in_one_split(tmp_path):
    """They look the same, and a score of one would be a score of the other's spelling."""
    path = tmp_path / "a.csv"
    joined = [{name: cell.replace("she", "s\u200che") for name, cell in ROWS[0].items()}]
    sentences = read(tmp_path, path.name, table([*ROWS, *joined]))
    assert sentences[0]["text"] != sentences[3]["text"]
    own_sentences.split(sentences, path, 0, {"train": 0.4, "val": 0.3, "test": 0.3})
    assert sentences[0]["pair"] == sentences[3]["pair"] != sentences[1]["pair"]


def test_a_form_of_two_tables_may_be_spelt_with_joiners(tmp_path):
    header = [*tables.VERB_COLUMNS, "wrong.past_simple"]
    cells = [
        "رفتن",
        "irregular",
        "رفتن",
        "می\u200cروم|می\u200cروی|می\u200cرود",
        "رفت",
        "رفته",
        "رفتن",
        "روید",
    ]
    (tmp_path / "verbs.csv").write_text(f"{','.join(header)}\n{','.join(cells)}\n", "utf-8")
    verb = tables.read_verbs(tmp_path / "verbs.csv")["رفتن"]
    assert verb.form("present_simple", "1sg") == "می\u200cروم"
