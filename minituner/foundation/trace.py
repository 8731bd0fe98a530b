"""What a process reads and writes, and the record that lies beside each file it wrote.

The record is `.provenance/NAME.json` in the file's folder. It holds the file's SHA-256 and all that
its bytes came from (workflow/provenance.py), so a file that was damaged since can be told.
"""

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@dataclasses.dataclass
class Trace:
    """What was read, with its SHA-256, and what was written, in order."""

    read: dict[str, str] = dataclasses.field(default_factory=dict)
    written: list[Path] = dataclasses.field(default_factory=list)


_current = Trace()


@contextlib.contextmanager
def traced() -> Iterator[Trace]:
    """Note what is read and written inside."""
    global _current
    outer, _current = _current, Trace()
    try:
        yield _current
    finally:
        _current = outer


def note_read(path: Path, sha256: str) -> None:
    """Note that a file was read, and what was in it."""
    _current.read[path.as_posix()] = sha256


def note_written(path: Path) -> None:
    """Note that a file was written."""
    _current.written.append(path)


def record_path(path: Path | str) -> Path:
    """Where the record of a file lies."""
    path = Path(path)
    return path.parent / ".provenance" / f"{path.name}.json"


def read_record(path: Path | str) -> dict[str, Any] | None:
    """The record of a file, of its present bytes or of former ones, if there is any to read."""
    try:
        content = json.loads(record_path(path).read_text(encoding="utf-8"))
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
