"""verbs.csv and templates.csv: read and checked, the first fault named by file, row and column."""

import re
import string
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from minituner.corpus import english
from minituner.corpus.rows import UNJOINED, Fault, csv_rows, header_check
from minituner.corpus.verbs import PASTS, PERSONS, TENSES, Forms, Verb
from minituner.foundation.errors import UserError

REGULARITIES = ("regular", "irregular")
VERB_COLUMNS = ("lemma", "regularity", *TENSES)
MISTAKE_COLUMN = re.compile(rf"([a-z]\w*)\.({'|'.join(TENSES)})", re.ASCII)
TEMPLATE_COLUMNS = ("kind", "text", "person", "tense", "verb")
# kind of template → the columns that say where it fits
TEMPLATE_KEYS = {
    "subject": ("person",),
    "time": ("tense",),
    "object": ("verb",),
    "auxiliary": ("tense", "person"),
    "pattern": ("tense",),
}
PATTERN = "{time} {subject} {auxiliary} {form} {object}."
PARTS = ("time", "subject", "auxiliary", "form", "object")


@dataclass(frozen=True)
class Templates:
    """What sentences are made of besides the verb.

    Attributes:
        subjects: person → texts.
        times: tense → texts.
        objects: lemma → texts.
        auxiliaries: tense and person → the word that helps the form; most have none.
        patterns: tense → the order of the parts, if it is not `PATTERN`.
    """

    subjects: dict[str, list[str]]
    times: dict[str, list[str]]
    objects: dict[str, list[str]]
    auxiliaries: dict[tuple[str, str], str]
    patterns: dict[str, str]

    def around(self, tense: str, person: str, parts: tuple[str, str, str]) -> tuple[str, str]:
        """What a sentence has before and behind its form.

        Args:
            tense: of the form.
            person: of the subject.
            parts: subject, object and time.
        """
        words = dict(zip(("subject", "object", "time"), parts, strict=True))
        words["auxiliary"] = self.auxiliaries.get((tense, person), "")
        # A part that is empty takes one of the blanks around it along.
        sides = self.patterns.get(tense, PATTERN).split("{form}")
        before, behind = (re.sub(" +", " ", side.format(**words)) for side in sides)
        return before.lstrip(" "), behind


def read_verbs(path: Path | str) -> dict[str, Verb]:
    """Read verbs.csv: lemma → verb, in the file's order.

    With columns called MISTAKE.TENSE, they hold the wrong forms, of any language. Without, the
    verbs are English, and `english` makes the wrong forms.

    Raises:
        UserError: naming file, row and column of the first fault.
    """
    verbs: dict[str, Verb] = {}
    for row, fault in csv_rows(path, _check_header):
        lemma = _word("lemma", row["lemma"], fault)
        if lemma in verbs:
            raise fault("lemma", f"{lemma} comes twice", "keep one of the rows")
        if row["regularity"] not in REGULARITIES:
            raise fault(
                "regularity", f"unknown {row['regularity']!r}", f"use {' or '.join(REGULARITIES)}"
            )
        regular = row["regularity"] == "regular"
        forms = {tense: _variants(tense, row[tense], fault) for tense in TENSES}
        make = _english if "irregularized" in row else _any_language
        verbs[lemma] = make(row, lemma, regular, forms, fault)
    return verbs


def read_templates(path: Path | str, verbs: dict[str, Verb]) -> Templates:
    """Read templates.csv, whose object rows must name one of `verbs`.

    Raises:
        UserError: naming file, row and column of the first fault, or what has no template at all.
    """
    known = {"person": PERSONS, "tense": TENSES, "verb": tuple(verbs)}
    groups: dict[str, dict[str, list[str]]] = {
        kind: {value: [] for value in known[TEMPLATE_KEYS[kind][0]]}
        for kind in ("subject", "time", "object")
    }
    auxiliaries: dict[tuple[str, str], str] = {}
    patterns: dict[str, str] = {}
    for row, fault in csv_rows(path, header_check(TEMPLATE_COLUMNS)):
        kind, text, tense, person = row["kind"], row["text"], row["tense"], row["person"]
        if kind not in TEMPLATE_KEYS:
            raise fault("kind", f"unknown {kind!r}", f"use one of {', '.join(TEMPLATE_KEYS)}")
        for column, values in known.items():
            optional = kind == "auxiliary" and column == "person" and not row[column]
            if column not in TEMPLATE_KEYS[kind]:
                if row[column]:
                    problem = f"{row[column]!r} has no meaning for {kind} rows"
                    raise fault(column, problem, "leave it empty")
            elif row[column] not in values and not optional:
                problem = f"unknown {row[column]!r}"
                raise fault(column, problem, f"use one of {', '.join(values)}")
        if not text:
            raise fault("text", f"empty {kind}", "write it or drop the row")
        if "|" in text:
            raise fault("text", f"{text!r} holds a |", "write one text a row")
        if kind == "auxiliary":
            for one in [person] if person else PERSONS:
                if (tense, one) in auxiliaries:
                    problem = f"a second auxiliary for {tense}, {one}"
                    raise fault("text", problem, "keep one of the rows")
                auxiliaries[tense, one] = text
            continue
        if kind == "pattern":
            _check_pattern(text, fault)
            if tense in patterns:
                raise fault("text", f"a second pattern for {tense}", "keep one of the rows")
            patterns[tense] = text
            continue
        value = row[TEMPLATE_KEYS[kind][0]]
        # A subject has one person; a time may serve two tenses, and an object many verbs.
        rivals = groups[kind].values() if kind == "subject" else [groups[kind][value]]
        if any(text in texts for texts in rivals):
            raise fault("text", f"{kind} {text!r} comes twice", "keep one of the rows")
        groups[kind][value].append(text)
    for kind, texts in groups.items():
        for value in texts:
            if not texts[value]:
                raise UserError(
                    f"{path}: {TEMPLATE_KEYS[kind][0]}: no {kind} for {value}; add a row for it"
                )
    return Templates(groups["subject"], groups["time"], groups["object"], auxiliaries, patterns)


def _check_header(columns: list[str], fault: Fault) -> None:
    mistakes = tuple(column for column in columns if MISTAKE_COLUMN.fullmatch(column))
    required = VERB_COLUMNS if mistakes else (*VERB_COLUMNS, "irregularized")
    header_check(required, mistakes)(columns, fault)


def _english(row: dict[str, str], lemma: str, regular: bool, forms: dict, fault: Fault) -> Verb:
    """A verb of a table without columns of mistakes."""
    irregularized = tuple(
        _word("irregularized", form, fault)
        for form in row["irregularized"].split("|")
        if row["irregularized"]
    )
    verb = english.conjugated(lemma, regular, forms, irregularized)
    wrong = english.fault(verb, irregularized)
    if wrong:
        raise fault(*wrong)
    return verb


def _any_language(
    row: dict[str, str], lemma: str, regular: bool, forms: dict, fault: Fault
) -> Verb:
    """A verb whose wrong forms the table gives."""
    made: dict[str, dict[str, Forms]] = {}
    for column, cell in row.items():
        match = MISTAKE_COLUMN.fullmatch(column)
        if match and cell:
            mistake, tense = match.groups()
            wrong = _variants(column, cell, fault, optional=True)
            for form, correct in zip(wrong, forms[tense], strict=True):
                if form == correct:
                    raise fault(column, f"{form!r} is the correct form", "write the wrong one")
            made.setdefault(mistake, {})[tense] = wrong
    if not regular and not any(tense in by_tense for by_tense in made.values() for tense in PASTS):
        column = next(column for column in row if MISTAKE_COLUMN.fullmatch(column))
        remedy = "write one, for without a rival the verb cannot be scored"
        raise fault(column, f"no wrong past of {lemma}, which is irregular", remedy)
    return Verb(lemma, regular, forms, made)


def _variants(column: str, cell: str, fault: Fault, optional: bool = False) -> Forms:
    """The forms of a cell for the three persons; optional ones may be empty."""
    variants = cell.split("|")
    if len(variants) not in (1, 3):
        problem = f"{len(variants)} variants in {cell!r}"
        raise fault(column, problem, f"give one form or {'|'.join(PERSONS)}")
    for variant in variants:
        if variant or not optional:
            _word(column, variant, fault)
    return tuple(variants * (3 // len(variants)))


def _word(column: str, form: str, fault: Fault) -> str:
    """A form, checked: words of lower-case letters of any script, with ' or - inside."""
    if not form:
        raise fault(column, "empty form", "write the form")
    words = re.split("['’ -]", form)
    characters = "".join(words).translate(UNJOINED)
    letters = all(words) and all(unicodedata.category(c)[0] in "LM" for c in characters)
    if form != form.lower() or not letters:
        raise fault(column, f"{form!r} is not in lower-case letters", "write it like 'go'")
    return form


def _check_pattern(text: str, fault: Fault) -> None:
    try:
        fields = [field[1:] for field in string.Formatter().parse(text) if field[1] is not None]
    except ValueError as error:
        raise fault("text", f"{text!r}: {error}", f"write it like {PATTERN!r}") from None
    plain = [name for name, spec, conversion in fields if not (spec or conversion)]
    once = sorted(PARTS) in (sorted(plain), sorted([*plain, "auxiliary"]))
    if len(plain) != len(fields) or not once:
        raise fault("text", f"{text!r} must hold each part once", f"write it like {PATTERN!r}")
