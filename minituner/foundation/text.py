"""Text that users write: its size and kind are looked at before it is read, its faults one line.

Standard library only: the Snakefile reads the settings on each start.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from minituner.foundation.errors import UserError

LIMIT = 16 << 20  # bytes


def read_text(path: Path | str, missing: str, encoding: str = "utf-8") -> str:
    """The text of a file.

    Args:
        path: of the file.
        missing: what to do if there is none, for the message.
        encoding: of the file.

    Raises:
        UserError: if it is missing, no regular file (a pipe would be waited for), larger than
            `LIMIT` or not text.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UserError(f"{path}: not a regular file; {missing}")
        if size > LIMIT:
            raise UserError(f"{path}: {size} bytes, more than {LIMIT}; is it the right file?")
        return path.read_text(encoding=encoding)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file; {missing}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    except ValueError:
        raise UserError(f"{str(path)!r}: no file can have that name; {missing}") from None


def parse_json(content: str | bytes) -> Any:
    """The value of JSON text.

    Raises:
        ValueError: if it is not JSON, nested too deeply or holds a number of thousands of digits.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def positive(text: str) -> int:
    """The integer above 0 that an option of the command line gives.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no integer above 0; use at least 1")
    return int(text)
