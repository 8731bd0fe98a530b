"""Write what the studies found."""

import argparse
from pathlib import Path

SETTINGS = ("science", "evaluate", "tuning.learning_rate", "subsets.train", "definition_of_done")
PATHS = ("out", "page")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Write `findings.parquet` to `--out`, and the page with its figure."""
    from minituner.foundation import environment, parquet, storage
    from minituner.reporting import style
    from minituner.workflow import settings

    environment.find_checkout()
    from studies import answers, figure, page

    chosen = settings.load(args.settings, *SETTINGS)
    scored = answers.Runs(args.runs, chosen["evaluate"])
    table, sentences = answers.answers(scored, chosen)
    source = args.out / "findings.parquet"
    parquet.write_frame(source, table)
    storage.write_text(args.page, page.as_markdown(table, sentences, len(scored.seeds), chosen))
    with style.applied():
        style.save(figure.draw(table, chosen), args.page.with_suffix(""), source)
