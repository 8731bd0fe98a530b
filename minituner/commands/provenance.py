"""`minituner provenance`: the way from a result back to the corpus."""

import argparse
from pathlib import Path

HELP = "show what a result came from"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", type=Path, metavar="FILE")


def run(args: argparse.Namespace) -> None:
    """Print it, as the records beside the files tell it."""
    from minituner.workflow import provenance

    print(provenance.explain(args.file), end="")
