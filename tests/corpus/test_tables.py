"""Each way to break verbs.csv or templates.csv is told by file, row, column and remedy."""

import re

import pytest

from minituner.corpus import tables
from minituner.foundation.errors import UserError
from tests.corpus.english_data import DATA

VERBS = (DATA / "verbs.csv").read_text()
TEMPLATES = (DATA / "templates.csv").read_text()
GO = "go,irregular,go,go|go|goes,went,gone,will go,\n"  # row 5 of verbs.csv
WALK = "walk,regular,walk,walk|walk|walks,walked,walked,will walk,welk|waught\n"  # row 12


def change(text, old, new):
    assert text.count(old) == 1
    return text.replace(old, new)


def complaint(read, tmp_path, text, *args):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        read(path, *args)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    remedy = message.rpartition("; ")[2]
    assert "\n" not in message and remedy not in (message, "None"), "one line with a remedy"
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        (change(VERBS, ",past_simple,", ",past,"), "row 1: past_simple: ", "missing column"),
        (change(VERBS, ",irregularized", ",irregularized,x"), "row 1: x: ", "unknown column"),
        (change(VERBS, ",irregularized", ",irregularized,lemma"), "row 1: lemma: ", "repeated"),
        (change(VERBS, GO, GO.replace("irregular", "strong")), "row 5: regularity: ", "'strong'"),
        (change(VERBS, GO, GO + GO), "row 6: lemma: ", "go comes twice"),
        (change(VERBS, GO, GO.replace("went", "")), "row 5: past_simple: ", "empty form"),
        (change(VERBS, GO, GO.replace("went", "went||went")), "row 5: past_simple: ", "empty form"),
        (change(VERBS, GO, GO.replace("|goes", "")), "row 5: present_simple: ", "2 variants"),
        (change(VERBS, GO, GO.replace("gone", "gon\u00e9")), "row 5: past_participle: ", "a to z"),
        (change(VERBS, GO, GO.replace("gone", "go\x00ne")), "row 5: past_participle: ", "unprint"),
        (change(VERBS, GO, GO.replace("gone", "is gone")), "row 5: past_participle: ", "1 word"),
        (change(VERBS, GO, GO.replace("gone", "Gone")), "row 5: past_participle: ", "lower-case"),
        (change(VERBS, GO, GO.replace("will go", "go")), "row 5: simple_future: ", "2 words"),
        (change(VERBS, GO, GO.replace("will go", "will do")), "row 5: simple_future: ", "'go'"),
        (change(VERBS, GO, GO.replace("go,irr", ",irr")), "row 5: lemma: ", "empty"),
        (change(VERBS, GO, GO.replace(",\n", ",goed\n")), "row 5: irregularized: ", "irregular"),
        (change(VERBS, GO, GO.replace("irreg", "reg")), "row 5: past_simple: ", "lacks -ed"),
        (change(VERBS, WALK, WALK.replace("walk,reg", "walk,irreg")), "row 12: regularity: ",
         "only adds -ed"),
        (change(VERBS, WALK, WALK.replace("welk|waught", "")), "row 12: irregularized: ", "no wr"),
        (change(VERBS, WALK, WALK.replace("welk", "walked")), "row 12: irregularized: ", "correct"),
        (change(VERBS, WALK, WALK.replace("welk", "")), "row 12: irregularized: ", "empty form"),
        (change(VERBS, GO, "go,irregular,go\n"), "row 5: present_simple: ", "3 cells for 8"),
        (change(VERBS, GO, GO.replace("\n", ",,\n")), "row 5: irregularized: ", "10 cells for 8"),
        (change(VERBS, GO, GO.replace("gone", '"gone')), "row 21: ", "close the quotes"),
        (VERBS[:-60], "row 21: infinitive: ", "2 cells for 8"),
        (VERBS[:-1], "row 21: irregularized: ", "truncated"),
        (VERBS[:-3], "row 21: irregularized: ", "truncated"),
        ("", "row 1: lemma: ", "missing column"),
        (VERBS.splitlines()[0] + "\n", "row 2: lemma: ", "no row"),
        (b"\xff\xfe" + VERBS.encode(), "", "not UTF-8"),
    ],
)  # fmt: skip
def test_a_malformed_verb_is_named_by_row_and_column(tmp_path, text, place, problem):
    message = complaint(tables.read_verbs, tmp_path, text)
    assert message.startswith(place)
    assert problem in message


SHE = "subject,she,3sg,,\n"  # row 9 of templates.csv
SOON = "time,soon,,simple_future,\n"  # row 60
BUS = "object,by bus,,,go\n"  # row 89


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        (change(TEMPLATES, SHE, "subjekt,she,3sg,,\n"), "row 9: kind: ",
         "unknown 'subjekt'; use one of subject, "),
        (change(TEMPLATES, SHE, "subject,she,4sg,,\n"), "row 9: person: ", "unknown '4sg'"),
        (change(TEMPLATES, SHE, "subject,she,,,\n"), "row 9: person: ", "unknown ''"),
        (change(TEMPLATES, SHE, "subject,,3sg,,\n"), "row 9: text: ", "empty"),
        (change(TEMPLATES, SHE, "subject,sh\u180ee,3sg,,\n"), "row 9: text: ", "unprintable"),
        (TEMPLATES + "auxiliary,can,,infinitive,\n", "row 190: text: ", "second auxiliary"),
        (TEMPLATES + "auxiliary,can,4sg,infinitive,\n", "row 190: person: ", "unknown '4sg'"),
        (TEMPLATES + "auxiliary,can,1sg,,\n", "row 190: tense: ", "unknown ''"),
        (TEMPLATES + "auxiliary,can,1sg,infinitive,\n", "row 190: text: ", "a second auxiliary"),
        (TEMPLATES + "pattern,{time} {form}.,,infinitive,\n", "row 190: text: ", "each part once"),
        (TEMPLATES + "pattern,{time,,infinitive,\n", "row 190: text: ", "expected '}'"),
        (change(TEMPLATES, SHE, SHE + "subject,she,1sg,,\n"), "row 10: text: ", "comes twice"),
        (change(TEMPLATES, SHE, "subject,she,3sg,,go\n"), "row 9: verb: ", "no meaning"),
        (change(TEMPLATES, SHE, "subject,she|he,3sg,,\n"), "row 9: text: ", "holds a |"),
        (change(TEMPLATES, SHE, "subject,she,3sg\n"), "row 9: tense: ", "3 cells for 5"),
        (change(TEMPLATES, SOON, "time,soon,,future,\n"), "row 60: tense: ", "unknown 'future'"),
        (change(TEMPLATES, SOON, SOON + SOON), "row 61: text: ", "comes twice"),
        (change(TEMPLATES, BUS, "object,by bus,,,fly\n"), "row 89: verb: ", "unknown 'fly'"),
        (change(TEMPLATES, BUS, BUS + BUS), "row 90: text: ", "comes twice"),
        (change(TEMPLATES, "kind,text", "kind,words"), "row 1: text: ", "missing column"),
        ("".join(line for line in TEMPLATES.splitlines(True) if "simple_future" not in line),
         "tense: ", "no time for simple_future"),
        ("".join(line for line in TEMPLATES.splitlines(True) if not line.endswith(",go\n")),
         "verb: ", "no object for go"),
        (re.sub("subject,.*,1sg,,\n", "", TEMPLATES), "person: ", "no subject for 1sg"),
        (TEMPLATES[:-1], "row 189: verb: ", "truncated"),
        (TEMPLATES[: len(TEMPLATES) // 2], "", "complete"),
    ],
)  # fmt: skip
def test_a_malformed_template_is_named_by_row_and_column(tmp_path, text, place, problem):
    verbs = tables.read_verbs(DATA / "verbs.csv")
    message = complaint(tables.read_templates, tmp_path, text, verbs)
    assert message.startswith(place)
    assert problem in message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        tables.read_verbs(tmp_path / "none.csv")


def test_spreadsheets_may_add_a_byte_order_mark_blank_rows_and_windows_line_ends(tmp_path):
    path = tmp_path / "verbs.csv"
    text = "\ufeff" + VERBS.replace("\n", "\r\n") + "\r\n,,,,,,,\r\n"
    path.write_bytes(text.encode())
    assert tables.read_verbs(path) == tables.read_verbs(DATA / "verbs.csv")


def test_columns_may_stand_in_any_order(tmp_path):
    path = tmp_path / "templates.csv"
    rows = [line.split(",") for line in TEMPLATES.splitlines()]
    path.write_text("".join(",".join(row[::-1]) + "\n" for row in rows))
    verbs = tables.read_verbs(DATA / "verbs.csv")
    assert tables.read_templates(path, verbs) == tables.read_templates(
        DATA / "templates.csv", verbs
    )
