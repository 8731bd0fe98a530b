"""Reading and writing files: none is half-written under its name, or damaged unnoticed."""

import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minituner.foundation import trace
from minituner.foundation.errors import UserError
from minituner.foundation.text import parse_json, read_text

DVC_CACHE = Path(".dvc/cache/files/md5")


def _put_in_place(path: Path) -> bool:
    """Whether DVC or git may have put it there, and not the command that wrote the record."""
    md5 = digest(path, "md5")
    cached = (DVC_CACHE / md5[:2] / md5[2:]).is_file()
    return cached or bool(trace.git(path.parent, "ls-files", "--", path.name))


def reading(path: Path | str) -> Path:
    """Note that `path` is read, after holding its bytes against its record, if it has one.

    Raises:
        UserError: if the file is neither what was written nor put there by DVC or git.
    """
    path = Path(path)
    if path.is_file():
        actual = sha256(path)
        trace.note_read(path, actual)
        written = trace.read_record(path)
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
        trace.record_path(path).unlink(missing_ok=True)
        os.replace(temporary, path)
        _flush(path.parent)  # the new name itself
        trace.note_written(path)
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
    text = read_text(reading(path), "run the stage that makes it")
    try:
        return parse_json(text)
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and make it again") from None


def write_rows(path: Path | str, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV with a header, numbers with all their digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    return digest(path, "sha256")


def digest(path: Path | str, algorithm: str) -> str:
    """The hash of a file's bytes by another algorithm, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
