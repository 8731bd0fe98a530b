"""Work out what a sweep at scale takes."""

import argparse

PATHS = ("benchmarks", "overhead", "rules", "out")


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    from minituner.foundation import checkout, storage

    checkout.find("benchmarks/")
    from benchmarks import throughput

    page = throughput.page(args.benchmarks, storage.read_json(args.overhead), args.rules)
    storage.write_text(args.out, page)
