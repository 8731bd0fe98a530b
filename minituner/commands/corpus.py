"""Generate the learner corpus."""

import argparse
from pathlib import Path

SETTINGS = ("corpus",)
PATHS = ("out",)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--verbs", type=Path, metavar="PATH")
    parser.add_argument("--templates", type=Path, metavar="PATH")
    parser.add_argument("--file", type=Path, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Write the corpus, one row a sentence."""
    from minituner.corpus import generate
    from minituner.foundation import parquet
    from minituner.foundation.errors import UserError
    from minituner.workflow import settings

    section = settings.load(args.settings, *SETTINGS)["corpus"]
    if args.file:
        table = generate.from_sentences(section, args.file)
    elif args.verbs and args.templates:
        table = generate.from_tables(section, args.verbs, args.templates)
    else:
        raise UserError("corpus: say --file, or --verbs and --templates")
    parquet.write_table(args.out, table)
    wrong = len(table) - table["label"].to_pylist().count("correct")
    print(f"{args.out}: {len(table)} sentences, {wrong} of them mis-conjugated")
