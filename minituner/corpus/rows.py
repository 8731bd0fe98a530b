"""The rows of a user's CSV, JSONL or Parquet file; each fault named by file, row and column.

Text is put into Unicode's composed form (NFC), so that one letter is one character whatever
program wrote it. Rows are counted as lines, a CSV file's header being row 1; Parquet's from 1.
"""

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minituner.foundation import parquet, storage
from minituner.foundation.errors import UserError
from minituner.foundation.text import read_text

Row = dict[str, Any]


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
        for column in columns:
            known = column in required or column in optional
            if not known or columns.count(column) > 1:
                problem = f"{'repeated' if known else 'unknown'} column"
                raise fault(shown(column) or "(empty)", problem, remedy)

    return check


def clean(text: str, column: str, fault: Fault) -> str:
    """`text` in composed form.

    Raises:
        UserError: if it holds a line end or another character that cannot be seen.
    """
    text = unicodedata.normalize("NFC", text)
    for character in text:
        if not character.isprintable():
            problem = f"{text[:60]!r} holds the unprintable character {character!r}"
            raise fault(column, problem, "delete it")
    return text


def shown(text: str) -> str:
    """A text as a message can hold it: short and on one line."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:61])
    return text if len(text) <= 60 else text[:57] + "…"


def csv_rows(path: Path | str, check: Check, trim: bool = True) -> Iterator[tuple[Row, Fault]]:
    """The rows of a CSV file and what makes an error of each.

    Args:
        path: a file in UTF-8, with or without a byte order mark and Windows line ends.
        check: is given the header.
        trim: whether blanks around a cell, and several in a row, are dropped.

    Raises:
        UserError: if the file is no such table.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    tidy = _trimmed if trim else str
    try:
        lines = [(reader.line_num, [tidy(cell) for cell in row]) for row in reader]
    except csv.Error as error:
        remedy = "close the quotes and keep cells short"
        raise Fault(path, reader.line_num)("cells", str(error), remedy) from None
    lines = [(number, cells) for number, cells in lines if any(map(_trimmed, cells))]
    columns = [_trimmed(cell) for cell in lines[0][1]] if lines else []
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
        row = {c: clean(cell, c, fault) for c, cell in zip(columns, cells, strict=True)}
        if number == lines[-1][0] and not text.endswith("\n"):
            remedy = "complete it and end it with a line end"
            raise fault(columns[-1], "no line end, so the file may be truncated", remedy)
        yield row, fault


def jsonl_rows(path: Path | str, check: Check) -> Iterator[tuple[Row, Fault]]:
    """The rows of a JSONL file, one object a line, and what makes an error of each."""
    at_all = False
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        fault = Fault(path, number)
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
