"""Check the settings."""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", nargs="?", default="params.yaml", metavar="FILE")


def run(args: argparse.Namespace) -> None:
    """Say that they are valid.

    Raises:
        UserError: naming the first fault.
    """
    from minituner.workflow import settings

    settings.load(args.file)
    print(f"{args.file}: valid")
