"""Verbs, templates and learners' mistakes: two CSV files read and checked, and forms made wrong."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from minituner.errors import UserError

TENSES = ("infinitive", "present_simple", "past_simple", "past_participle", "simple_future")
PERSONS = ("1sg", "2sg", "3sg")
REGULARITIES = ("regular", "irregular")
PASTS = ("past_simple", "past_participle")
# What the corpus may be spoilt with, in the order in which they claim a form that two of them make.
MISTAKES = (
    "over_regularized",
    "missing_third_person_s",
    "bare_stem",
    "past_for_participle",
    "double_marked",
    "inflected_after_modal",
)

VERB_COLUMNS = ("lemma", "regularity", *TENSES, "irregularized")
TEMPLATE_COLUMNS = ("kind", "text", "person", "tense", "verb")
# kind of template → the one column that says where it fits
TEMPLATE_KEYS = {"subject": "person", "time": "tense", "object": "verb"}


@dataclass(frozen=True)
class Verb:
    """One row of verbs.csv.

    Attributes:
        lemma: the cue that sentences begin with.
        regular: whether its pasts are made with -ed.
        forms: for each tense the forms of the three `PERSONS`.
        irregularized: wrong pasts of a regular verb that look like those of irregular ones.
    """

    lemma: str
    regular: bool
    forms: dict[str, tuple[str, str, str]]
    irregularized: tuple[str, ...] = ()

    def form(self, tense: str, person: str) -> str:
        """The correct form, without the auxiliary that `auxiliary` gives."""
        return self.forms[tense][PERSONS.index(person)]


@dataclass(frozen=True)
class Templates:
    """What sentences are made of besides the verb.

    Attributes:
        subjects: text → person.
        times: tense → texts.
        objects: lemma → texts.
    """

    subjects: dict[str, str]
    times: dict[str, list[str]]
    objects: dict[str, list[str]]


def auxiliary(tense: str, person: str) -> str:
    """The word that stands before the form, with its space; simple_future holds its own "will"."""
    if tense == "infinitive":
        return "may "
    if tense == "past_participle":
        return "has " if person == "3sg" else "have "
    return ""


def add_ed(stem: str) -> str:
    """`stem` with -ed, by the spelling rules: goed, liked, studied, played, beed, didded."""
    if re.search(r"[^aeiou]y$", stem):
        return stem[:-1] + "ied"
    if stem.endswith("e") and re.search(r"[aeiou]", stem[:-1]):
        return stem + "d"
    # A single vowel letter in the whole word, between consonants, doubles the last one.
    if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouswxy]", stem):
        return stem + stem[-1] + "ed"
    return stem + "ed"


def alternatives(verb: Verb, tense: str, person: str) -> dict[str, str]:
    """Every mis-conjugated form of a cell: type of mistake → form.

    No form equals the correct one and none comes twice: of two types that make the same form the
    one named first in `MISTAKES` has it. A regular verb's wrong pasts are its bare stem and its
    irregularized forms, the latter as `irregularized_1`, …, which the corpus is never spoilt with.
    """
    correct = verb.form(tense, person)
    stem = verb.form("infinitive", person)
    made: dict[str, str] = {}
    if tense in PASTS:
        made["bare_stem"] = stem
        if verb.regular:
            made |= {f"irregularized_{i}": f for i, f in enumerate(verb.irregularized, 1)}
        else:
            made["over_regularized"] = add_ed(stem)
            made["double_marked"] = add_ed(correct)
    if tense == "past_participle" and not verb.regular:
        made["past_for_participle"] = verb.form("past_simple", person)
    if tense == "present_simple" and person == "3sg":
        made["missing_third_person_s"] = stem
    if tense in ("infinitive", "simple_future"):
        # "may goes", "will goes": the last word is replaced, "will" stays
        made["inflected_after_modal"] = correct[: -len(stem)] + verb.form("present_simple", "3sg")

    kept: dict[str, str] = {}
    # the irregularized forms, unknown to MISTAKES, keep their order behind the others
    for mistake in [m for m in MISTAKES if m in made] + [m for m in made if m not in MISTAKES]:
        if made[mistake] != correct and made[mistake] not in kept.values():
            kept[mistake] = made[mistake]
    return kept


def read_verbs(path: Path | str) -> dict[str, Verb]:
    """Read verbs.csv: lemma → verb, in the file's order.

    Raises:
        UserError: naming file, row and column of the first fault.
    """
    verbs: dict[str, Verb] = {}
    for number, row in _rows(path, VERB_COLUMNS):

        def fault(column: str, problem: str, remedy: str, number: int = number) -> UserError:
            return UserError(f"{path}: row {number}: {column}: {problem}; {remedy}")

        lemma, regularity = row["lemma"], row["regularity"]
        if not re.fullmatch(r"[a-z]+", lemma):
            raise fault("lemma", f"{lemma!r} is not a lower-case word", "write e.g. go")
        if lemma in verbs:
            raise fault("lemma", f"{lemma} comes twice", "keep one of the rows")
        if regularity not in REGULARITIES:
            raise fault("regularity", f"unknown {regularity!r}", f"use {_either(REGULARITIES)}")
        forms = {}
        for tense in TENSES:
            variants = row[tense].split("|")
            if len(variants) not in (1, 3):
                raise fault(
                    tense, f"{len(variants)} variants", f"give one form or {'|'.join(PERSONS)}"
                )
            word = r"[a-z]+ [a-z]+" if tense == "simple_future" else r"[a-z]+"
            for variant in variants:
                if not variant:
                    raise fault(tense, "empty form", "write the form")
                if not re.fullmatch(word, variant):
                    raise fault(
                        tense,
                        f"{variant!r} is not {'two words' if ' ' in word else 'one word'}"
                        " of lower-case letters",
                        f"write e.g. {'will go' if ' ' in word else 'go'}",
                    )
            forms[tense] = tuple(variants * (3 // len(variants)))
        for future, stem in zip(forms["simple_future"], forms["infinitive"], strict=True):
            if future.split(" ")[1] != stem:
                raise fault(
                    "simple_future", f"{future!r} does not end in the infinitive {stem!r}",
                    f"write will {stem}",
                )  # fmt: skip
        irregularized = tuple(filter(None, row["irregularized"].split("|")))
        verbs[lemma] = Verb(lemma, regularity == "regular", forms, irregularized)
    return verbs


def read_templates(path: Path | str, verbs: dict[str, Verb]) -> Templates:
    """Read templates.csv, whose object rows must name one of `verbs`.

    Raises:
        UserError: naming file, row and column of the first fault, or what has no template at all.
    """
    allowed = {"person": PERSONS, "tense": TENSES, "verb": tuple(verbs)}
    subjects: dict[str, str] = {}
    times: dict[str, list[str]] = {tense: [] for tense in TENSES}
    objects: dict[str, list[str]] = {lemma: [] for lemma in verbs}
    for number, row in _rows(path, TEMPLATE_COLUMNS):

        def fault(column: str, problem: str, remedy: str, number: int = number) -> UserError:
            return UserError(f"{path}: row {number}: {column}: {problem}; {remedy}")

        kind, text = row["kind"], row["text"]
        if kind not in TEMPLATE_KEYS:
            raise fault("kind", f"unknown {kind!r}", f"use {_either(TEMPLATE_KEYS)}")
        key = TEMPLATE_KEYS[kind]
        value = row[key]
        if value not in allowed[key]:
            raise fault(key, f"unknown {value!r}", f"use {_either(allowed[key])}")
        if not text:
            raise fault("text", "empty", f"write the {kind}")
        if "|" in text:
            raise fault("text", f"{text!r} holds a |", "write one text a row")
        if kind == "subject":
            if text in subjects:
                raise fault("text", f"subject {text!r} comes twice", "keep one of the rows")
            subjects[text] = value
        else:
            group = (times if kind == "time" else objects)[value]
            if text in group:
                raise fault("text", f"{text!r} comes twice for {value}", "keep one of the rows")
            group.append(text)
    if not subjects:
        raise UserError(f"{path}: kind: no subject; add a row subject,she,3sg,,")
    for kind, groups in (("time", times), ("object", objects)):
        for value, group in groups.items():
            if not group:
                key = TEMPLATE_KEYS[kind]
                raise UserError(f"{path}: {key}: no {kind} for {value}; add a row for it")
    return Templates(subjects, times, objects)


def _rows(path: Path | str, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with these columns, each with its line number; cells are stripped.

    Raises:
        UserError: if the file is no such table.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name an existing CSV file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    if text and not text.endswith("\n"):
        raise UserError(
            f"{path}: last row: no line end, so the file may be truncated; complete it and end it "
            "with a line end"
        )
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        for column in columns:
            if column not in header:
                raise UserError(
                    f"{path}: row 1: {column}: missing column; the header is {','.join(columns)}"
                )
        for column in header:
            if column not in columns or header.count(column) > 1:
                raise UserError(
                    f"{path}: row 1: {column!r}: unknown or repeated column; "
                    f"the header is {','.join(columns)}"
                )
        for cells in reader:
            number = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                column = header[len(cells)] if len(cells) < len(header) else header[-1]
                raise UserError(
                    f"{path}: row {number}: {column}: {len(cells)} cells for {len(header)} columns;"
                    " complete the row"
                )
            row = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
            for column, cell in row.items():
                if not (cell.isascii() and (cell.isprintable() or not cell)):
                    raise UserError(
                        f"{path}: row {number}: {column}: {cell!r} is not plain ASCII; "
                        "write it with ASCII letters"
                    )
            rows.append((number, row))
    except csv.Error as error:
        raise UserError(
            f"{path}: row {reader.line_num}: not valid CSV ({error}); complete or quote the row"
        ) from None
    if not rows:
        raise UserError(f"{path}: row 2: no rows below the header; fill the table")
    return rows


def _either(values: object) -> str:
    return ", ".join(values)
