"""What lies beside the package in a checkout of the project and is not installed with it.

These are the workflow, the studies, the benchmarks, the pages and the data. What cannot do without
them where the package alone is installed says so in one line.
"""

import sys
from pathlib import Path

from minituner.foundation.errors import UserError

ROOT = Path(__file__).resolve().parents[2]  # of the checkout; else the folder of all packages


class NoCheckoutError(UserError):
    """The package is installed by itself, without the checkout that something needs."""


def is_here() -> bool:
    """Whether the package lies in a checkout."""
    return (ROOT / "Snakefile").is_file()


def need(what: str) -> None:
    """Refuse to go on without a checkout.

    Args:
        what: of the checkout is needed, such as "benchmarks/".

    Raises:
        NoCheckoutError: naming that and the remedy.
    """
    if not is_here():
        raise NoCheckoutError(
            f"{what}: not part of the installed package; clone the project, run `pip install -e .` "
            "in it, and there the same again"
        )


def need_or_exit(what: str) -> None:
    """The same for a program that is no subcommand, whose errors no one else prints."""
    try:
        need(what)
    except UserError as error:
        sys.exit(f"minituner: error: {error}")


def find(folder: str) -> None:
    """Have Python find a folder of modules that lies beside the package: benchmarks/ or studies/.

    Raises:
        NoCheckoutError: where there is no checkout.
    """
    need(folder)
    sys.path.insert(0, str(ROOT))
