"""Show what a result came from."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", type=Path, metavar="FILE")


def run(args: argparse.Namespace) -> None:
    """Print it, as the records beside the files tell it."""
    from minituner.workflow import provenance

    print(provenance.explain(args.file), end="")
