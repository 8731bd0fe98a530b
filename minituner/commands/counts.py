"""Count parameters and bytes by formula."""

import argparse
from pathlib import Path
from typing import Any

from minituner.foundation.text import positive

SETTINGS = ("lora.target_modules", "tuning.batch_size", "nf4", "sweep.ranks")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--base", type=Path, metavar="PATH")
    add("--out", type=Path, metavar="PATH")
    add("--shape")
    add("--list", action="store_true")
    add("--rank", type=positive, default=8)
    add("--targets", default="all")
    add("--blocksize", type=positive, default=64)
    add("--double-quant", action="store_true")
    add("--bytes", type=int, choices=(2, 4), default=2)
    add("--batch", type=positive, default=0)
    add("--tokens", type=positive, default=512)


def run(args: argparse.Namespace) -> None:
    """Print a table for a shape, or write those of the base's regimes."""
    from minituner.foundation.errors import UserError

    if args.list:
        from minituner.budget import calculator

        print(calculator.presets(), end="")
    elif args.shape:
        from minituner.budget.calculator import Question
        from minituner.reporting.budget_pages import of_shape

        question = Question(
            args.shape, args.rank, args.targets, args.blocksize, args.double_quant,
            args.bytes, args.batch, args.tokens,
        )  # fmt: skip
        print(of_shape(question), end="")
    elif args.base and args.out:
        from minituner.workflow import settings

        write_tables(settings.load(args.settings, *SETTINGS), args.base, args.out)
    else:
        raise UserError("counts: say --shape NAME, or --base and --out")


def write_tables(settings: dict[str, Any], base: Path, out: Path) -> None:
    """Write `counts.parquet`, `.csv` and `.md`, after holding each row against a real model."""
    import pyarrow as pa

    from minituner import compute
    from minituner.budget import formula, measure, shapes
    from minituner.checkpoints.models import read_config
    from minituner.checkpoints.names import MODEL_FILE
    from minituner.foundation import parquet, progress, storage
    from minituner.lora import lora_state_dict
    from minituner.reporting.budget_pages import of_regimes

    compute.pin()
    config, _ = read_config(base)
    shape = shapes.of(config)
    B, T = settings["tuning"]["batch_size"], config.context
    base_file = (base / MODEL_FILE).stat().st_size
    rows = []
    for regime in progress.bar(formula.regimes(settings), "counting", "regimes"):
        if regime.rank and regime.rank > config.d_model:
            continue
        row = formula.count(shape, regime, B * T)
        model = measure.verified(config, regime, row)
        row["adapter_bytes"] = None
        if regime.method != "full":
            tensors = lora_state_dict(model)
            row["adapter_bytes"] = formula.safetensors_bytes(
                {name: tensor.shape for name, tensor in tensors.items()}
            )
        row["file_percent"] = 100 * (row["adapter_bytes"] or base_file) / base_file
        rows.append(row)
    table = pa.Table.from_pylist(rows)
    parquet.write_table(out / "counts.parquet", table)
    parquet.write_table(out / "counts.csv", table)
    storage.write_text(out / "counts.md", of_regimes(rows, shape, B, T))
