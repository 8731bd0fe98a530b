"""Merge an adapter into its base."""

import argparse

PATHS = ("base", "adapter", "out")
SEQUENCES = 8  # of random symbols, on which the logits before and after are compared


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    text = "allow an NF4 base; the result is in float32"
    parser.add_argument("--dequantize", action="store_true", help=text)


def run(args: argparse.Namespace) -> None:
    """Write the merged model, and print the largest logit difference that it makes.

    Raises:
        UserError: for an NF4 base without `--dequantize`: rounding the sum to 4 bits again would
            lose most of the update, which is smaller than the gaps between the codes.
    """
    import torch

    from minituner import compute
    from minituner.checkpoints.adapters import load_adapter
    from minituner.checkpoints.models import load_model, save_model
    from minituner.foundation.errors import UserError
    from minituner.nf4 import NF4Linear
    from minituner.qlora import merge_model

    compute.pin()
    model = load_model(args.base)
    packed = any(isinstance(module, NF4Linear) for module in model.modules())
    if packed and not args.dequantize:
        raise UserError(
            f"{args.base}: stored in 4 bits; rounding the merged weights to 4 bits again would "
            "lose the update, so say --dequantize to merge into the dequantized float weights"
        )
    load_adapter(args.adapter, model, args.base)
    config, draw = model.config, compute.generator(0, "merge", "probe")
    ids = torch.randint(config.vocab_size, (SEQUENCES, config.context), generator=draw)
    with torch.no_grad():
        before = compute.accelerate(model.eval())(ids)
        merged = merge_model(model)
        difference = float((compute.accelerate(merged)(ids) - before).abs().max())
    save_model(args.out, merged)
    print(f"{args.out}: merged; the largest logit difference it makes is {difference:.2g}")
