"""Check what you wrote for a lab of the course, step by step."""

import argparse
from pathlib import Path

EXAMPLES = """\
minituner check 00 my_lora.py
minituner check 02 my_run.ipynb"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("lab", metavar="LAB", help="00, 01, 02 or 03")
    text = "your file or notebook (default: the lab's file with gaps in docs/labs, filled in there)"
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help=text)


def run(args: argparse.Namespace) -> None:
    """Print each step that is right, and stop at the first that is not."""
    from minituner.labs import checking

    checking.check(args.lab, args.file)
