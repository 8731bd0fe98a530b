"""Tables as Parquet or CSV: bytes that depend on the rows alone, and nothing taken on trust."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq

from minituner.foundation.errors import UserError
from minituner.foundation.storage import atomic, reading

if TYPE_CHECKING:
    import pandas as pd

TYPES = {"alternatives": pa.list_(pa.string())}  # of columns that hold no text
MAX_ROWS, MAX_BYTES = 10_000_000, 1 << 30  # of a table


def write_table(path: Path | str, table: pa.Table | dict[str, Any]) -> None:
    """Write a table as Parquet or CSV, by the path's ending, with bytes that depend on it alone."""
    path = Path(path)
    table = table if isinstance(table, pa.Table) else pa.table(table)
    with atomic(path) as temporary:
        if path.suffix == ".parquet":
            pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")
        else:
            options = pa.csv.WriteOptions(quoting_style="needed")
            pa.csv.write_csv(table, temporary, options)


def write_rows(path: Path | str, rows: list[dict[str, Any]]) -> None:
    """Write rows, each a dict of the same columns."""
    write_table(path, pa.Table.from_pylist(rows))


def write_frame(path: Path | str, frame: "pd.DataFrame") -> None:
    """Write a pandas table, its index left out."""
    write_table(path, pa.Table.from_pandas(frame, preserve_index=False))


def read_table(path: Path | str, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet table.

    Args:
        path: of the file.
        columns: the ones wanted, text unless `TYPES` says otherwise, with no value missing; None
            takes all as they are.

    Raises:
        UserError: if the file is missing, truncated, not Parquet, too large, or lacks one of
            `columns` or a value in it.
    """
    path = Path(path)
    try:
        table = _rows(reading(path), columns)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: not a readable Parquet file ({reason}); delete it and make it again"
        ) from None
    for column in columns or ():
        wanted = TYPES.get(column, pa.string())
        if table[column].type != wanted:
            problem = f"holds {table[column].type}, not {wanted}"
        elif _holes(table[column]):
            problem = "a value is missing"
        else:
            continue
        raise UserError(f"{path}: column {column}: {problem}; delete the file and make it again")
    return table


def read_frame(path: Path | str) -> "pd.DataFrame":
    """A Parquet table as pandas', all columns; see `read_table`."""
    return read_table(path).to_pandas()


def _rows(path: Path, columns: list[str] | None) -> pa.Table:
    """The table, taken in small pieces: a few bytes may unpack to more than the memory."""
    # Not mapped into memory: a page of a truncated file would end the process with SIGBUS.
    with pq.ParquetFile(path, memory_map=False) as file:
        names = file.schema_arrow.names
        for column in columns or ():
            if names.count(column) != 1:
                raise UserError(
                    f"{path}: column {column}: missing; delete the file and make it again"
                )
        too_large = UserError(
            f"{path}: more than {MAX_ROWS} rows or {MAX_BYTES} bytes; is it the right file?"
        )
        if file.metadata.num_rows > MAX_ROWS:
            raise too_large
        held, pieces = 0, []
        for piece in file.iter_batches(1024, columns=columns):
            pieces.append(piece)
            held += piece.nbytes
            if held > MAX_BYTES:
                raise too_large
        schema = pieces[0].schema if pieces else file.schema_arrow
    table = pa.Table.from_batches(pieces, schema)
    table.validate(full=True)  # text that is none, lengths that do not add up
    return table.select(columns) if columns else table


def _holes(column: pa.ChunkedArray) -> bool:
    """Whether a value, or a member of a list, is missing."""
    members = pa.compute.list_flatten(column) if pa.types.is_list(column.type) else column
    return bool(column.null_count or members.null_count)
