"""Hold two runs against each other, with intervals."""

import argparse
from pathlib import Path

EXAMPLES = """\
minituner compare base lora_r1_s0     two runs
minituner compare lora_r1 qlora_r1    two ranks, all seeds
minituner compare base ../other/results/evaluate/runs/base.parquet"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("runs", nargs=2, metavar="RUN", help="a run, a rank, or its .parquet")
    add("--settings", default="params.yaml", metavar="FILE|JSON", help="section evaluate")
    add("--results", type=Path, default=Path("results"), metavar="PATH", help="(results)")


def run(args: argparse.Namespace) -> None:
    """Print every metric's difference, then the verbs'."""
    from minituner.analysis import compare
    from minituner.workflow import settings

    section = settings.load(args.settings, "evaluate")["evaluate"]
    print(compare.compare(section, args.runs, args.results))
