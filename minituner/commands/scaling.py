"""Draw what the steps measured."""

import argparse
from pathlib import Path

PATHS = ("out", "page")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--steps", type=Path, nargs="+", required=True, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Gather the points into a table in `--out`, and write the page and its picture to `--page`."""
    import pyarrow as pa

    from minituner.foundation import checkout, parquet, storage
    from minituner.reporting import style

    checkout.find("benchmarks/")
    from benchmarks.memory_scaling import page

    rows = [storage.read_json(step) for step in args.steps]
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: (row["parameters"], row["method"])))
    source = args.out / "memory_scaling.parquet"
    parquet.write_table(source, table)
    parquet.write_table(args.out / "memory_scaling.csv", table)
    points = table.to_pandas()
    with style.applied():
        style.save(page.figure(points), args.page / "memory_scaling", source)
    storage.write_text(args.page / "memory_scaling.md", page.as_markdown(points))
