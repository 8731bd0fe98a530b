"""`minituner studies`: what the further studies found, with one figure."""

import argparse
from pathlib import Path

HELP = "write what the studies found"
SETTINGS = ("science", "evaluate", "tuning.learning_rate", "subsets.train", "definition_of_done")
PATHS = ("out", "page")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Write `findings.parquet` to `--out`, and the page with its figure."""
    from minituner.analysis import studies
    from minituner.foundation import parquet, storage
    from minituner.reporting import study_figures, style
    from minituner.reporting.study_page import as_markdown
    from minituner.workflow import settings

    chosen = settings.load(args.settings, *SETTINGS)
    scored = studies.Runs(args.runs, chosen["evaluate"])
    table, sentences = studies.answers(scored, chosen)
    source = args.out / "findings.parquet"
    parquet.write_frame(source, table)
    storage.write_text(args.page, as_markdown(table, sentences, len(scored.seeds), chosen))
    with style.applied():
        style.save(study_figures.draw(table, chosen), args.page.with_suffix(""), source)
