"""verbs.csv and templates.csv: read and checked, the first fault named by file, row and column."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minituner import files, plaintext
from minituner.errors import UserError
from minituner.grammar import PASTS, PERSONS, TENSES, Verb, add_ed

REGULARITIES = ("regular", "irregular")
VERB_COLUMNS = ("lemma", "regularity", *TENSES, "irregularized")
TEMPLATE_COLUMNS = ("kind", "text", "person", "tense", "verb")
# kind of template → the one column that says where it fits
TEMPLATE_KEYS = {"subject": "person", "time": "tense", "object": "verb"}


@dataclass(frozen=True)
class Templates:
    """What sentences are made of besides the verb.

    Attributes:
        subjects: person → texts.
        times: tense → texts.
        objects: lemma → texts.
    """

    subjects: dict[str, list[str]]
    times: dict[str, list[str]]
    objects: dict[str, list[str]]


def read_verbs(path: Path | str) -> dict[str, Verb]:
    """Read verbs.csv: lemma → verb, in the file's order.

    Raises:
        UserError: naming file, row and column of the first fault.
    """
    verbs: dict[str, Verb] = {}
    for row, fault in _rows(path, VERB_COLUMNS):
        lemma = _word("lemma", row["lemma"], fault)
        if lemma in verbs:
            raise fault("lemma", f"{lemma} comes twice", "keep one of the rows")
        if row["regularity"] not in REGULARITIES:
            raise fault(
                "regularity", f"unknown {row['regularity']!r}", f"use {' or '.join(REGULARITIES)}"
            )
        verb = Verb(
            lemma,
            row["regularity"] == "regular",
            {tense: _variants(tense, row[tense], fault) for tense in TENSES},
            tuple(
                _word("irregularized", form, fault)
                for form in row["irregularized"].split("|")
                if row["irregularized"]
            ),
        )
        _check_verb(verb, fault)
        verbs[lemma] = verb
    return verbs


def read_templates(path: Path | str, verbs: dict[str, Verb]) -> Templates:
    """Read templates.csv, whose object rows must name one of `verbs`.

    Raises:
        UserError: naming file, row and column of the first fault, or what has no template at all.
    """
    groups: dict[str, dict[str, list[str]]] = {
        "subject": {person: [] for person in PERSONS},
        "time": {tense: [] for tense in TENSES},
        "object": {lemma: [] for lemma in verbs},
    }
    for row, fault in _rows(path, TEMPLATE_COLUMNS):
        kind, text = row["kind"], row["text"]
        if kind not in groups:
            raise fault("kind", f"unknown {kind!r}", f"use one of {', '.join(groups)}")
        key = TEMPLATE_KEYS[kind]
        value = row[key]
        if value not in groups[kind]:
            raise fault(key, f"unknown {value!r}", f"use one of {', '.join(groups[kind])}")
        for other in ("person", "tense", "verb"):
            if other != key and row[other]:
                raise fault(other, f"{row[other]!r} has no meaning for a {kind}", "leave it empty")
        if not text:
            raise fault("text", f"empty {kind}", "write it or drop the row")
        if "|" in text:
            raise fault("text", f"{text!r} holds a |", "write one text a row")
        # A subject has one person; a time may serve two tenses, and an object many verbs.
        rivals = groups[kind].values() if kind == "subject" else [groups[kind][value]]
        if any(text in texts for texts in rivals):
            raise fault("text", f"{kind} {text!r} comes twice", "keep one of the rows")
        groups[kind][value].append(text)
    for kind, texts in groups.items():
        for value in texts:
            if not texts[value]:
                raise UserError(
                    f"{path}: {TEMPLATE_KEYS[kind]}: no {kind} for {value}; add a row for it"
                )
    return Templates(groups["subject"], groups["time"], groups["object"])


class _Fault:
    """Makes the error of one row of a file."""

    def __init__(self, path: Path | str, row: int) -> None:
        self.place = f"{path}: row {row}"

    def __call__(self, column: str, problem: str, remedy: str) -> UserError:
        return UserError(f"{self.place}: {column}: {problem}; {remedy}")


def _variants(tense: str, cell: str, fault: _Fault) -> tuple[str, str, str]:
    """The forms of a cell for the three persons."""
    variants = cell.split("|")
    if len(variants) not in (1, 3):
        raise fault(
            tense, f"{len(variants)} variants in {cell!r}", f"give one form or {'|'.join(PERSONS)}"
        )
    for variant in variants:
        _word(tense, variant, fault, words=2 if tense == "simple_future" else 1)
    return tuple(variants * (3 // len(variants)))


def _word(column: str, form: str, fault: _Fault, words: int = 1) -> str:
    if not form:
        raise fault(column, "empty form", "write the form")
    if not re.fullmatch(" ".join(["[a-z]+"] * words), form):
        example = "will go" if words == 2 else "go"
        raise fault(
            column,
            f"{form!r} is not {words} word{'s' * (words > 1)} in lower-case letters",
            f"write it like {example!r}",
        )
    return form


def _check_verb(verb: Verb, fault: _Fault) -> None:
    """What the columns of one verb must not say against each other."""
    stems, futures = verb.forms["infinitive"], verb.forms["simple_future"]
    for stem, future in zip(stems, futures, strict=True):
        if future.split(" ")[1] != stem:
            raise fault(
                "simple_future",
                f"{future!r} does not end in the infinitive {stem!r}",
                f"write 'will {stem}'",
            )
    for tense in PASTS:
        for form in verb.forms[tense]:
            if verb.regular and not form.endswith("ed"):
                raise fault(tense, f"{form!r} of a regular verb lacks -ed", "call it irregular")
            if form in verb.irregularized:
                raise fault("irregularized", f"{form!r} is the correct {tense}", "misspell it")
    if not verb.regular and verb.forms["past_simple"] == verb.forms["past_participle"]:
        if all(map(str.__eq__, verb.forms["past_simple"], map(add_ed, stems))):
            raise fault("regularity", f"{verb.lemma} only adds -ed", "call it regular")
    if verb.regular != bool(verb.irregularized):
        raise fault(
            "irregularized",
            "no wrong past of a regular verb" if verb.regular else "given for an irregular verb",
            "write e.g. welk|waught for walk" if verb.regular else "leave it empty",
        )


def _rows(path: Path | str, columns: tuple[str, ...]) -> Iterator[tuple[dict[str, str], _Fault]]:
    """The rows of a CSV file with these columns, and what makes an error of each; blanks trimmed.

    Rows are counted as lines, the header being row 1.

    Raises:
        UserError: if the file is no such table.
    """
    header = ",".join(columns)
    text = plaintext.read(files.reading(path), "name an existing CSV file", "utf-8-sig")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, [" ".join(cell.split()) for cell in row]) for row in reader]
    except csv.Error as error:
        raise _Fault(path, reader.line_num)(header, str(error), "close the quotes") from None
    lines = [(number, cells) for number, cells in lines if any(cells)]
    found = lines[0][1] if lines else []
    for column in columns:
        if column not in found:
            raise _Fault(path, 1)(column, "missing column", f"the header is {header}")
    for column in found:
        if column not in columns or found.count(column) > 1:
            problem = f"{'repeated' if column in columns else 'unknown'} column"
            raise _Fault(path, 1)(column or "(empty)", problem, f"the header is {header}")
    if len(lines) == 1:
        raise _Fault(path, 2)(found[0], "no row below the header", "fill the table")
    for number, cells in lines[1:]:
        fault = _Fault(path, number)
        if len(cells) != len(found):
            column = found[min(len(cells), len(found) - 1)]
            problem = f"{len(cells)} cells for {len(found)} columns"
            raise fault(column, problem, "complete the row" if len(cells) < len(found) else "quote")
        row = dict(zip(found, cells, strict=True))
        for column, cell in row.items():
            if not (cell.isascii() and cell.isprintable()):
                raise fault(column, f"{cell!r} is not plain ASCII", "write it in ASCII letters")
        if number == lines[-1][0] and not text.endswith("\n"):
            remedy = "complete it and end it with a line end"
            raise fault(found[-1], "no line end, so the file may be truncated", remedy)
        yield row, fault
