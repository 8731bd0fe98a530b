"""Tables as Markdown."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[object], rows: Iterable[Sequence[object]], align: str = "") -> list[str]:
    """The lines of a table.

    Args:
        header: a cell a column.
        rows: as many cells each.
        align: a letter a column, `l` or `r` for left or right; left where it ends.
    """
    rule = {"l": "---|", "r": "--:|"}
    sides = align.ljust(len(header), "l")
    return [row(header), "|" + "".join(map(rule.get, sides)), *map(row, rows)]


def row(cells: Iterable[object]) -> str:
    """One line of a table."""
    return f"| {' | '.join(map(str, cells))} |"
