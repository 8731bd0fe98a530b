"""Score one run on what was held out."""

import argparse
from pathlib import Path

PATHS = ("base", "irregular", "control", "out")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--adapter", type=Path, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Write what the model in `--base`, with the adapter if given, makes of each sentence."""
    from minituner import compute, data, evaluate
    from minituner.checkpoints.adapters import load_adapter
    from minituner.checkpoints.models import load_model
    from minituner.corpus import subsets
    from minituner.foundation import parquet

    compute.pin()
    model = load_model(args.base)
    if args.adapter:
        load_adapter(args.adapter, model, args.base)
    score = compute.accelerate(model.eval()).score
    rows = subsets.read_held_out(args.irregular, args.control)
    rivals = [row["prompt"] + rival for row in rows for rival in row["alternatives"]]
    data.check_fits([*rivals, *(row["text"] for row in rows)], model.config.context, args.irregular)
    columns = [c for c in subsets.SCHEMA.names if c not in ("text", "prompt", "alternatives")]
    results = [
        {"run": args.out.stem} | {column: row[column] for column in columns} | scores
        for row, scores in zip(rows, evaluate.score_rows(score, rows), strict=True)
    ]
    parquet.write_rows(args.out, results)
