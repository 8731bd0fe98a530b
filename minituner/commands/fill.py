"""Write those figures into README and docs/."""

import argparse
from pathlib import Path

PATHS = ("values",)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--check", action="store_true", help="only say what is out of date")


def run(args: argparse.Namespace) -> None:
    """Bring every page up to date, or with `--check` only print what is stale."""
    from minituner.foundation import checkout
    from minituner.reporting import fill

    checkout.need("README.md and docs/")
    fill.fill_pages(args.values, Path(), args.check)
