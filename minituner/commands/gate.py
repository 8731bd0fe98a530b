"""Fail if a criterion is missed."""

import argparse

from minituner.foundation import storage
from minituner.foundation.errors import UserError

PATHS = ("judged", "out")


def run(args: argparse.Namespace) -> None:
    """Write one line if every criterion is met.

    Raises:
        UserError: naming each missed criterion, its bar and what was measured.
    """
    verdict = storage.read_json(args.judged)
    missed = [row for row in verdict["criteria"] if not row["met"]]
    if missed:
        named = "; ".join(
            f"criterion {row['criterion']}: {row['measured']}, bar {row['bar']}" for row in missed
        )
        raise UserError(f"{args.judged}: definition of done missed: {named}")
    total = len(verdict["criteria"])
    storage.write_text(args.out, f"all {total} criteria met by {verdict['adapter']['adapter']}\n")
