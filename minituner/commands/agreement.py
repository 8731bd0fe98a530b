"""Compare LoRA on the NF4 base with LoRA on the base."""

import argparse
from pathlib import Path

PATHS = ("base", "nf4", "irregular", "control", "out")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--adapters", type=Path, nargs="+", required=True, metavar="PATH")


def run(args: argparse.Namespace) -> None:
    """Write one row an adapter, see `evaluate.logit_difference`, over the test sentences.

    A first row without any (`adapter` null) has the error that quantizing the base alone makes,
    which the others are held against.
    """
    from minituner import compute, evaluate
    from minituner.checkpoints.adapters import load_adapter
    from minituner.checkpoints.models import load_model
    from minituner.corpus import subsets
    from minituner.foundation import parquet, progress

    compute.pin()
    rows = subsets.read_held_out(args.irregular, args.control)
    texts = [row["text"] for row in rows if row["split"] == "test"]
    results = []
    for adapter in progress.bar([None, *args.adapters], "agreement", "adapters"):
        models = []
        for folder in (args.base, args.nf4):
            model = load_model(folder)
            if adapter:
                # Trained on the float base, the adapter is here put on the quantized one as well.
                load_adapter(adapter, model, args.base)
            models.append(compute.accelerate(model.eval()))
        difference = evaluate.logit_difference(*models, texts)
        results.append({"adapter": adapter and adapter.name} | difference)
    parquet.write_rows(args.out, results)
