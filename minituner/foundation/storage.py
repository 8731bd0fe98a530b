"""Reading and writing files: nothing half-written under its final name, nothing damaged unnoticed.

What a process reads and writes through this module is noted for its provenance (provenance.py),
which lies beside each written file as `.provenance/NAME.json` and holds the file's SHA-256.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq

from minituner.foundation import text as plaintext
from minituner.foundation.errors import UserError

DVC_CACHE = Path(".dvc/cache/files/md5")
TYPES = {"alternatives": pa.list_(pa.string()), "probe": pa.bool_()}  # of columns that hold no text
MAX_ROWS, MAX_BYTES = 10_000_000, 1 << 30  # of a table


@dataclasses.dataclass
class Trace:
    """What was read, with its SHA-256, and what was written, in order."""

    read: dict[str, str] = dataclasses.field(default_factory=dict)
    written: list[Path] = dataclasses.field(default_factory=list)


_trace = Trace()


@contextlib.contextmanager
def traced() -> Iterator[Trace]:
    """Note what is read and written inside."""
    global _trace
    outer, _trace = _trace, Trace()
    try:
        yield _trace
    finally:
        _trace = outer


def record_of(path: Path | str) -> Path:
    """Where the provenance of a file lies."""
    path = Path(path)
    return path.parent / ".provenance" / f"{path.name}.json"


def record(path: Path | str) -> dict[str, Any] | None:
    """The provenance of a file, of its present bytes or of former ones, if there is any to read."""
    try:
        content = json.loads(record_of(path).read_text(encoding="utf-8"))
        return content if isinstance(content["sha256"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def git(folder: Path, *arguments: str) -> str:
    """What git says in a folder; nothing where there is no git or no repository."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _put_in_place(path: Path) -> bool:
    """Whether DVC or git may have put it there, and not the command that wrote the record."""
    md5 = _digest(path, "md5")
    cached = (DVC_CACHE / md5[:2] / md5[2:]).is_file()
    return cached or bool(git(path.parent, "ls-files", "--", path.name))


def reading(path: Path | str) -> Path:
    """Note that `path` is read, after holding its bytes against its record, if it has one.

    Raises:
        UserError: if the file is neither what was written nor put there by DVC or git.
    """
    path = Path(path)
    if path.is_file():
        actual = _trace.read[path.as_posix()] = sha256(path)
        written = record(path)
        if written and actual != written["sha256"] and not _put_in_place(path):
            raise UserError(
                f"{path}: damaged: its SHA-256 is not the one recorded when it was written; "
                "delete it and make it again"
            )
    return path


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it into place.

    On any failure, an interrupt included, the temporary file is removed and `path` is untouched.
    What a killed writer left in the folder is removed too: its lock went with its process.

    Raises:
        OSError: naming `path`, if the disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise _named(error, path) from None
    temporary = Path(name)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield temporary
        # mkstemp makes the file private; the final file gets what the user's umask allows.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        _flush(temporary)
        # The record of the former file goes first: a stale one would call the new file damaged.
        record_of(path).unlink(missing_ok=True)
        os.replace(temporary, path)
        _flush(path.parent)  # the new name itself
        _trace.written.append(path)
    except OSError as error:
        raise _named(error, path) from None
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files in `folder` that no living process writes."""
    for temporary in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError), open(temporary, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()


def _flush(path: Path) -> None:
    """Have the disk hold a file, or a folder's list of names, before anything else happens."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _named(error: OSError, path: Path) -> OSError:
    """The same error with the file's final name, which libraries in C++ leave out."""
    reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
    return OSError(error.errno, reason, str(path))


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
    text = plaintext.read(reading(path), "run the stage that makes it")
    try:
        return plaintext.parse_json(text)
    except ValueError as error:
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


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    return _digest(path, "sha256")


def _digest(path: Path | str, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
