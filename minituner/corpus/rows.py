"""The rows of a user's CSV, JSONL or Parquet file; each fault named by file, row and column.

Text is put into Unicode's composed form (NFC), so that one letter is one character whatever
program wrote it, and every kind of blank becomes the usual one. Rows are counted as lines, a CSV
file's header being row 1; Parquet's from 1.
"""

import csv
import functools
import io
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minituner.foundation import parquet, storage
from minituner.foundation.errors import UserError
from minituner.foundation.text import read_text

Row = dict[str, Any]

DELIMITERS = ",;\t"  # a spreadsheet writes the second where the comma is in numbers
# pandas' index, as `reset_index` and its writers and readers call it.
INDEX = re.compile(r"index|level_\d+|Unnamed: [\d.]+|__index_level_\d+__")
# Inside a word they are spelling, the first in Persian, the second in Sinhala and Marathi.
JOINERS = "\u200c\u200d"
UNJOINED = dict.fromkeys(map(ord, JOINERS))  # for `str.translate`
# What copied text has unseen: hyphens and breaks for the end of a line, marks of direction.
UNSEEN = "\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
TO_REMOVE = re.compile(rf"(?<!\S)[{UNSEEN}{JOINERS}]+|[{UNSEEN}]+")


class Fault:
    """Makes the error of one row of a file."""

    def __init__(self, path: Path | str, row: int) -> None:
        self.row = row
        self.place = f"{path}: row {row}"

    def __call__(self, column: str, problem: str, remedy: str) -> UserError:
        """The error, to be raised."""
        return UserError(f"{self.place}: {column}: {problem}; {remedy}")


Check = Callable[[list[str], Fault], None]


def header_check(required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Check:
    """A check that a header has the required columns, no unknown one and none twice."""
    remedy = f"the columns are {','.join(required)}"
    if optional:
        remedy += f" and, if you like, {','.join(optional)}"

    def check(columns: list[str], fault: Fault) -> None:
        for column in required:
            if column not in columns:
                raise fault(column, "missing column", remedy)
        for place, column in enumerate(columns):
            known = column in required or column in optional
            if INDEX.fullmatch(column) or (place == 0 and not column):
                problem = "the numbers of pandas' rows"
                raise fault(column or "(empty)", problem, "save the table with index=False")
            if not known or columns.count(column) > 1:
                problem = f"{'repeated' if known else 'unknown'} column"
                raise fault(shown(column) or "(empty)", problem, remedy)

    return check


def _clean(value: Any, column: str, fault: Fault, removed: Counter[str]) -> Any:
    """A cell as it is read; in a text, or in each text of a list, nothing is left unseen."""
    if isinstance(value, list):
        return [_clean(member, column, fault, removed) for member in value]
    if not isinstance(value, str):
        return value
    text = unicodedata.normalize("NFC", value)
    if text.isprintable():
        return text
    removed.update("".join(TO_REMOVE.findall(text)))
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in TO_REMOVE.sub("", text))
    text = unicodedata.normalize("NFC", text)  # now that accents are beside their letters
    for character in text:
        if not (character.isprintable() or character in JOINERS):
            problem = f"{text[:60]!r} holds the unprintable character {character!r}"
            raise fault(column, problem, "delete it")
    return text


def _cleaned(read: Callable[..., Iterator[tuple[Row, Fault]]]) -> Callable[..., Any]:
    """A reader whose cells are cleaned; what was removed from them is said on stderr at the end."""

    @functools.wraps(read)
    def rows(path: Path | str, *how: Any, **named: Any) -> Iterator[tuple[Row, Fault]]:
        removed: Counter[str] = Counter()
        for row, fault in read(path, *how, **named):
            yield {name: _clean(cell, name, fault, removed) for name, cell in row.items()}, fault
        if removed:
            kinds = (f"{unicodedata.name(c).lower()} ({n})" for c, n in sorted(removed.items()))
            print(f"minituner: {path}: removed, since unseen: {', '.join(kinds)}", file=sys.stderr)

    return rows


def shown(text: str) -> str:
    """A text as a message can hold it: short and on one line."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:61])
    return text if len(text) <= 60 else text[:57] + "…"


@_cleaned
def csv_rows(path: Path | str, check: Check, trim: bool = True) -> Iterator[tuple[Row, Fault]]:
    """The rows of a CSV file and what makes an error of each.

    Args:
        path: a file in UTF-8, with or without a byte order mark and Windows line ends; which of
            `DELIMITERS` it has is seen by its header.
        check: is given the header.
        trim: whether blanks around a cell, and several in a row, are dropped.

    Raises:
        UserError: if the file is no such table.
    """
    text = _text(path)
    header = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    tidy = _trimmed if trim else str
    try:
        lines = [(reader.line_num, [tidy(cell) for cell in row]) for row in reader]
    except csv.Error as error:
        remedy = "close the quotes and keep cells short"
        raise Fault(path, reader.line_num)("cells", str(error), remedy) from None
    lines = [(number, cells) for number, cells in lines if any(map(_trimmed, cells))]
    columns = [_trimmed(cell) for cell in lines[0][1]] if lines else []
    if len(columns) == 1:
        remedy = "separate the cells by commas, semicolons or tabs"
        raise Fault(path, 1)(shown(columns[0]), "a single column", remedy)
    check(columns, Fault(path, 1))
    if len(lines) == 1:
        raise Fault(path, 2)(columns[0], "no row below the header", "fill the table")
    for number, cells in lines[1:]:
        fault = Fault(path, number)
        if len(cells) != len(columns):
            column = columns[min(len(cells), len(columns) - 1)]
            problem = f"{len(cells)} cells for {len(columns)} columns"
            raise fault(
                column, problem, "complete the row" if len(cells) < len(columns) else "quote"
            )
        if number == lines[-1][0] and not text.endswith("\n"):
            remedy = "complete it and end it with a line end"
            raise fault(columns[-1], "no line end, so the file may be truncated", remedy)
        yield dict(zip(columns, cells, strict=True)), fault


@_cleaned
def jsonl_rows(path: Path | str, check: Check) -> Iterator[tuple[Row, Fault]]:
    """The rows of a JSONL file, one object a line, and what makes an error of each."""
    at_all = False
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        fault = Fault(path, number)
        if line.lstrip().startswith("["):
            raise fault("line", "a JSON array", "write one object a line, as jq -c '.[]' does")
        try:
            pairs = json.loads(line, object_pairs_hook=list)
        except (RecursionError, ValueError) as error:
            raise fault("line", f"not valid JSON ({error})", "write one object a line") from None
        if not line.lstrip().startswith("{"):
            raise fault("line", f"{shown(line)!r} is no object", "write one object a line")
        check([key for key, _ in pairs], fault)
        yield dict(pairs), fault
        at_all = True
    if not at_all:
        raise Fault(path, 1)("line", "no row at all", "write one object a line")


@_cleaned
def parquet_rows(path: Path | str, check: Check) -> Iterator[tuple[Row, Fault]]:
    """The rows of a Parquet file, and what makes an error of each."""
    table = parquet.read_table(path)
    check(table.column_names, Fault(path, 1))
    if not len(table):
        raise Fault(path, 1)(table.column_names[0], "no row at all", "fill the table")
    for number, row in enumerate(table.to_pylist(), 1):
        yield row, Fault(path, number)


def _text(path: Path | str) -> str:
    return read_text(storage.reading(path), "name an existing file", "utf-8-sig")


def _trimmed(cell: str) -> str:
    return " ".join(cell.split())
