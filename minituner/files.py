"""Reading and writing files so that nothing half-written is ever left under its final name."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from minituner.errors import UserError


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it into place.

    On any failure, an interrupt included, the temporary file is removed and `path` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private; the final file gets what the user's umask allows.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON; NaN is refused because JSON has no such number."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and make it again") from None


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


def read_table(path: Path | str, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet table.

    Raises:
        UserError: if the file is missing, truncated, not Parquet, or lacks one of `columns`.
    """
    path = Path(path)
    try:
        # Memory-mapped pages of a truncated file would end the process with SIGBUS.
        table = pq.read_table(path, memory_map=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: not a readable Parquet file ({reason}); delete it and make it again"
        ) from None
    for column in columns or ():
        if column not in table.column_names:
            raise UserError(f"{path}: column {column}: missing; delete the file and make it again")
    return table.select(columns) if columns else table


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
