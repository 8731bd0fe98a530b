"""Decompose what the adapters learned."""

import argparse
from pathlib import Path

PATHS = ("base", "irregular", "evaluate", "out")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--adapters", type=Path, nargs="+", required=True, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Write `spectra.parquet`, `truncated.parquet` and the figure.

    `truncated` has two rows an adapter, `kept` = its rank and 1: its mean accuracy and margin on
    the irregular test sentences as it was evaluated, and with its first direction alone; and a row
    for the base, with `kept` = 0.
    """
    import pandas as pd

    from minituner import compute, evaluate
    from minituner.analysis import spectra
    from minituner.analysis.metrics import read_run
    from minituner.checkpoints.adapters import load_on_base
    from minituner.checkpoints.runs import parse_run
    from minituner.corpus import subsets
    from minituner.foundation import parquet, progress
    from minituner.reporting import style, weight_figures

    compute.pin()
    columns = ("text", "prompt", "form", "alternatives")
    rows = subsets.read_irregular(args.irregular, "test", columns)

    def evaluated(run: str) -> dict[str, float]:
        return spectra.on_test(read_run(args.evaluate / f"{run}.parquet"))

    values: list[dict] = []
    truncated = [{"run": "base", "rank": 0, "seed": None, "kept": 0} | evaluated("base")]
    for folder in progress.bar(args.adapters, "decomposing", "adapters"):
        fields = parse_run(folder.name)
        run = {"run": folder.name, "rank": fields["rank"], "seed": fields["seed"]}
        model = load_on_base(args.base, folder)
        values += [run | row for row in spectra.layer_spectra(model)]
        truncated.append(run | {"kept": fields["rank"]} | evaluated(folder.name))
        if fields["rank"] > 1:
            spectra.keep_directions(model, 1)
            score = compute.accelerate(model).score
            first = pd.DataFrame(evaluate.score_rows(score, rows))
            truncated.append(run | {"kept": 1} | spectra.means(first))
    tables = {"spectra": pd.DataFrame(values), "truncated": pd.DataFrame(truncated)}
    for name, rows_of_table in (("spectra", values), ("truncated", truncated)):
        parquet.write_rows(args.out / f"{name}.parquet", rows_of_table)
    with style.applied():
        figure = weight_figures.spectra(tables["spectra"], tables["truncated"])
        style.save(figure, args.out / "spectra", args.out / "spectra.parquet")
