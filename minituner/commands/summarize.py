"""Summarize all runs, with intervals."""

import argparse
from pathlib import Path

SETTINGS = ("evaluate",)
PATHS = ("out",)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Write `summary.parquet`, `summary.csv` and `per_verb.parquet`."""
    from minituner.analysis import summary
    from minituner.foundation import parquet
    from minituner.workflow import settings

    section = settings.load(args.settings, *SETTINGS)["evaluate"]
    by_run = summary.read_runs(args.runs)
    table = summary.summary_table(by_run, section)
    parquet.write_frame(args.out / "summary.parquet", table)
    parquet.write_frame(args.out / "summary.csv", summary.wide(table))
    parquet.write_frame(args.out / "per_verb.parquet", summary.per_verb_table(by_run))
