"""Text that users write: its size and kind are looked at before it is read, its faults one line.

Standard library only: the Snakefile reads the settings on each start.
"""

import argparse
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from minituner.foundation.errors import UserError

LIMIT = 16 << 20  # bytes


def read_text(path: Path | str, missing: str, encoding: str = "utf-8") -> str:
    """The text of a file, its line ends as Unix writes them; one named `.gz` is unpacked.

    Args:
        path: of the file.
        missing: what to do if there is none, for the message.
        encoding: of the file.

    Raises:
        UserError: if it is missing, no regular file (a pipe would be waited for), larger than
            `LIMIT` (unpacked), damaged or not text.
    """
    path = Path(path)
    try:
        path.stat()
        if not path.is_file():
            raise UserError(f"{path}: not a regular file; {missing}")
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read(LIMIT + 1)
        if len(content) > LIMIT:
            raise UserError(
                f"{path}: more than {LIMIT >> 20} MiB of text; is it the right file? A corpus that "
                "large is read from .parquet"
            )
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file; {missing}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: not a whole gzip file ({error}); compress it again") from None
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
