"""A user's own sentences from a CSV, JSONL or Parquet file: read, checked and completed.

The columns are described in docs/own_corpus.md; data/corpus.parquet itself is such a file.
"""

import functools
from collections import defaultdict
from pathlib import Path
from typing import Any

from minituner.corpus.rows import (
    UNJOINED,
    Fault,
    csv_rows,
    header_check,
    jsonl_rows,
    parquet_rows,
    shown,
)
from minituner.corpus.splits import SPLITS, hold_out
from minituner.corpus.tables import REGULARITIES
from minituner.corpus.verbs import TENSES
from minituner.foundation.errors import UserError

LABELS = ("correct", "mis_conjugated")
REQUIRED = ("text", "prompt", "form", "correct_form", "verb_lemma", "tense", "english_regularity")
OPTIONAL = (
    "id", "person", "frame", "pair", "split", "alternatives", "label", "mis_conjugation_type",
    "correct_text", "seed",
)  # fmt: skip
KNOWN = {"tense": TENSES, "english_regularity": REGULARITIES, "split": SPLITS, "label": LABELS}
READERS = {
    ".csv": functools.partial(csv_rows, trim=False),
    ".tsv": functools.partial(csv_rows, trim=False),
    ".jsonl": jsonl_rows,
    ".json": jsonl_rows,
    ".parquet": parquet_rows,
}
Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """The sentences of a file as rows of the corpus; `split` is None where the file has none.

    Args:
        path: its ending says what it is, one of `READERS`; text may be packed, as .csv.gz.

    Raises:
        UserError: naming file, row and column of the first fault.
    """
    kind = Path(path.name.removesuffix(".gz")).suffix
    if kind not in READERS:
        raise UserError(f"{path}: unknown kind of file; name one in {', '.join(READERS)}")
    seen: dict[str, dict[str, Any]] = {"id": {}, "english_regularity": {}}
    rivals: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    rows, rivals_given = [], []
    for raw, fault in READERS[kind](path, header_check(REQUIRED, OPTIONAL)):
        row = {column: _text(raw.get(column), column, fault) for column in (*REQUIRED, *OPTIONAL)
               if column not in ("alternatives", "seed")}  # fmt: skip
        rivals_given.append(_alternatives(raw.get("alternatives"), row, fault))
        _complete(row, fault)
        number = seen["id"].setdefault(row["id"], fault.row)
        if number != fault.row:
            raise fault("id", f"{shown(row['id'])!r} is row {number}'s", "drop one or name both")
        lemma, kind = row["verb_lemma"], row["english_regularity"]
        if seen["english_regularity"].setdefault(lemma, kind) != kind:
            raise fault("english_regularity", f"{lemma} was the other kind above", "keep one kind")
        if row["form"] not in (row["correct_form"], *rivals[_cell(row)]):
            rivals[_cell(row)].append(row["form"])
        rows.append(row | {"row": fault.row})
    for row, alternatives in zip(rows, rivals_given, strict=True):
        row["alternatives"] = sorted(rivals[_cell(row)]) if alternatives is None else alternatives
    return rows


def split(rows: list[Row], path: Path, seed: int, splits: dict[str, float]) -> None:
    """Give each row its `pair`, `split` and `seed`.

    What shares a prompt, a frame or a text stays together. A split that the file gives holds for
    all that hangs together with its row.

    Raises:
        UserError: if rows that hang together were given different splits, naming both, or if all
            rows hang together.
    """
    keys = [_shared(row) for row in rows]
    cells = [(row["person"], row["tense"]) for row in rows]
    names = [row["pair"] or row["frame"] for row in rows]
    pairs, homes = hold_out(keys, names, cells, seed, splits)
    given: dict[str, Row] = {}
    for row, pair in zip(rows, pairs, strict=True):
        if row["split"]:
            first = given.setdefault(pair, row)
            if first["split"] != row["split"]:
                same = [name for name, key in _shared(row) if (name, key) in _shared(first)]
                how = f"has the same {same[0]}" if same else "hangs together with it by others"
                raise UserError(
                    f"{path}: row {row['row']}: split: {row['split']}, but row {first['row']}, "
                    f"which {how}, is in {first['split']}; keep both in one split"
                )
    if not given and len(set(pairs)) < len(SPLITS):
        raise UserError(
            f"{path}: prompt: all sentences hang together by equal prompts and frames, so that "
            "nothing can be held out; add sentences with other beginnings"
        )
    for row, pair, home in zip(rows, pairs, homes, strict=True):
        split = given[pair]["split"] if pair in given else home
        row |= {"pair": pair, "split": split, "seed": seed}


def _shared(row: Row) -> list[tuple[str, str]]:
    """What must not be in two splits; texts that look the same, but for case and blanks, are."""
    text, prompt = (
        " ".join(row[name].casefold().translate(UNJOINED).split()) for name in ("text", "prompt")
    )
    keys = [("text", text), ("prompt", prompt), ("frame", row["frame"])]
    return keys + [("pair", row["pair"])] if row["pair"] else keys


def _complete(row: Row, fault: Fault) -> None:
    """Check a row's columns against each other and fill those that follow from others."""
    for column in REQUIRED:
        if not row[column]:
            raise fault(column, "empty", f"write the {column}")
    for column, values in KNOWN.items():
        if row[column] is not None and row[column] not in values:
            problem = f"unknown {shown(row[column])!r}"
            raise fault(column, problem, f"use one of {', '.join(values)}")
    text, start, form = row["text"], row["prompt"] + row["form"], row["correct_form"]
    if not text.startswith(start):
        problem = f"{shown(text)!r} does not begin with prompt and form, {shown(start)!r}"
        raise fault("text", problem, "make them the same, blanks included")
    behind = text[len(start) :]
    correct = row["prompt"] + form + behind
    derived = {
        "correct_text": correct,
        "label": LABELS[row["form"] != form],
        "frame": f"{row['prompt'].removeprefix(row['verb_lemma'] + ': ')}|{behind}",
    }
    for column, value in derived.items():
        if row[column] is None:
            row[column] = value
        elif column != "frame" and row[column] != value:
            raise fault(column, f"{shown(row[column])!r}, not {shown(value)!r}", "drop the column")
    if row["mis_conjugation_type"] and row["form"] == form:
        raise fault("mis_conjugation_type", "given for a correct form", "leave it empty")
    if row["form"] != form and not row["mis_conjugation_type"]:
        row["mis_conjugation_type"] = "unnamed"
    if row["person"] is None:
        row["person"] = ""
    if row["id"] is None:
        row["id"] = f"{row['verb_lemma']}|{row['tense']}|{row['frame']}"


def _alternatives(value: Any, row: Row, fault: Fault) -> list[str] | None:
    """The wrong forms that a row gives; None if it gives none."""
    if value is None or value == "":
        return None
    forms = value.split("|") if isinstance(value, str) else value
    if not isinstance(forms, list):
        raise fault("alternatives", f"{shown(str(value))!r} is no list", "give a list of texts")
    forms = [_text(form, "alternatives", fault) for form in forms]
    for form in forms:
        if not form or form == row["correct_form"] or forms.count(form) > 1:
            problem = f"{form!r} is empty, correct or given twice"
            raise fault("alternatives", problem, "give each wrong form once")
    return forms


def _text(value: Any, column: str, fault: Fault) -> str | None:
    """A cell, which is text; None where it is empty."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise fault(column, f"{shown(str(value))!r} is no text", "write it as text")
    return value


def _cell(row: Row) -> tuple[str, str, str]:
    return row["verb_lemma"], row["tense"], row["correct_form"]
