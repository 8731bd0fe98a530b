"""Tune one run."""

import argparse

from minituner.foundation.errors import UserError
from minituner.foundation.text import positive

SETTINGS = ("lora", "tuning")
# Full fine-tuning has a learning rate of its own.
FULL_SETTINGS = (
    "full",
    "tuning.steps",
    "tuning.batch_size",
    "tuning.shards",
    "tuning.warmup",
    "tuning.eval_every",
)
PATHS = ("base", "irregular", "out")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--method", choices=("lora", "qlora", "full"), required=True)
    parser.add_argument("--rank", type=positive)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=positive)


def run(args: argparse.Namespace) -> None:
    """Tune the model in `--base` and write it, or the adapter alone. A killed run is resumed.

    Equal seeds give LoRA, QLoRA and full fine-tuning the same batches.
    """
    if (args.rank is None) != (args.method == "full"):
        raise UserError(
            f"--rank: {'missing for' if args.rank is None else 'has no meaning for'} "
            f"--method {args.method}; {'add' if args.rank is None else 'drop'} it"
        )
    from minituner import compute, data, train
    from minituner.checkpoints.adapters import save_adapter
    from minituner.checkpoints.models import load_model, read_config, save_model
    from minituner.checkpoints.names import CONFIG_FILE, CURVE_FILE, MODEL_FILE
    from minituner.checkpoints.resume import Resume
    from minituner.corpus import subsets
    from minituner.foundation import storage
    from minituner.workflow import settings

    compute.pin()
    sections = FULL_SETTINGS if args.method == "full" else SETTINGS
    chosen = settings.load(args.settings, *sections)
    quantized = read_config(args.base)[1] is not None
    if quantized != (args.method == "qlora"):
        kind = "an NF4" if quantized else "a float"
        raise UserError(
            f"{args.base}: {kind} base does not fit method {args.method}; name the other base"
        )
    inputs = [args.irregular, args.base / MODEL_FILE, args.base / CONFIG_FILE]
    identity = {"settings": chosen, "run": [args.method, args.seed, args.rank]}
    with Resume(args.out, inputs, **identity) as resume:
        model = load_model(args.base)
        examples = {
            split: data.completions(subsets.read_irregular(args.irregular, split))
            for split in ("train", "val")
        }
        init = compute.generator(args.seed, "adapter", "init")
        options = train.prepare(model, chosen, args.method, args.rank, init)
        curve = train.tune(
            compute.accelerate(model),
            options,
            examples,
            args.seed,
            adamw=compute.AdamW,
            clip=compute.clip_grad_norm_,
            on_row=train.show_losses,
            resume=resume,
            threads=args.threads,
        )
        storage.write_rows(args.out / CURVE_FILE, curve)
        if args.method == "full":
            save_model(args.out, model)
        else:
            save_adapter(args.out, model, args.base)
