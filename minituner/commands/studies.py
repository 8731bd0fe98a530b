"""Write what the studies found."""

import argparse
from pathlib import Path

SETTINGS = (
    *("science", "evaluate", "base.steps", "subsets.train", "definition_of_done"),
    *("lora", "model", "sweep"),
)
PATHS = ("out", "page")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    text = "the folder that the studies wrote to"
    parser.add_argument("--science", type=Path, required=True, metavar="PATH", help=text)


def run(args: argparse.Namespace) -> None:
    """Write the table `--out`, and the page with a folder of figures beside it."""
    import pandas as pd

    from minituner.foundation import checkout, parquet, storage
    from minituner.reporting import style
    from minituner.workflow import settings

    checkout.find("studies/")
    from studies import evidence, page

    chosen = settings.load(args.settings, *SETTINGS)
    measured = evidence.read(args.science, chosen)
    found = page.answers(measured)
    table = pd.concat([rows for rows, _ in found.values() if len(rows)], ignore_index=True)
    parquet.write_frame(args.out, table)
    seeds = max(len(scores.seeds) for scores in measured.scores.values())
    storage.write_text(args.page, page.as_markdown(found, seeds, chosen))
    with style.applied():
        page.pictures(measured, found, args.page.with_suffix(""), args.out)
