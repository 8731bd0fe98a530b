"""Measure one step at any shape."""

import argparse

PATHS = ("out",)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--shape", required=True, help="a preset or n_layer=…,d_model=…")
    parser.add_argument("--method", choices=("lora", "qlora"), required=True)


def run(args: argparse.Namespace) -> None:
    """Take the step in this process and write what it held as JSON."""
    from minituner.foundation import checkout, storage

    checkout.find("benchmarks/")
    from benchmarks.memory_scaling import peak

    storage.write_json(args.out, peak.take_step(args.shape, args.method))
