"""Progress with rate and time left, on a terminal; nothing elsewhere, so no log is littered.

Jobs of the workflow write to a pipe and hence stay silent, and do not even load tqdm.
"""

import sys
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
DELAY = 1.0  # seconds before a bar appears: what is over at once needs none


def bar(things: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterable[T]:
    """The same things one by one, with a bar on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        return things
    return _tqdm()(
        things, what, total, unit=f" {unit}", delay=DELAY, leave=False, dynamic_ncols=True
    )


def say(text: str) -> None:
    """Print a line on stdout, above the bar if there is one."""
    if sys.stderr.isatty():
        _tqdm().write(text, file=sys.stdout)
    else:
        print(text)
    sys.stdout.flush()


def _tqdm() -> type:
    from tqdm import tqdm

    return tqdm
