"""Draw the irregular-verb subset and the regular-verb control set."""

import argparse
from pathlib import Path

SETTINGS = ("subsets",)
PATHS = ("corpus", "irregular", "control")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--verbs", type=Path, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Write both sets."""
    from minituner.corpus import subsets
    from minituner.foundation import parquet
    from minituner.workflow import settings

    section = settings.load(args.settings, *SETTINGS)["subsets"]
    irregular, control = subsets.draw_both(section, args.corpus, args.verbs)
    parquet.write_table(args.irregular, irregular)
    parquet.write_table(args.control, control)
    print(f"{args.irregular}: {len(irregular)} sentences; {args.control}: {len(control)}")
