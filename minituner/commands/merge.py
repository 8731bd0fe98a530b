"""Merge an adapter into its base."""

import argparse

PATHS = ("base", "adapter", "out")
EXAMPLES = """\
minituner merge --base results/base --adapter results/train/lora_r8_s0 --out merged
minituner merge --base results/nf4 --adapter results/qlora/qlora_r8_s0 --dequantize --out merged

--base is a folder with model.safetensors and config.json; --adapter one with PEFT's
adapter_model.safetensors and adapter_config.json, of plain LoRA: what is more is refused."""
SEQUENCES = 8  # of random symbols, on which the logits before and after are compared
LOST = 0.01  # share of an update that may round away without a word


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    text = "allow an NF4 base; the result is in float32"
    parser.add_argument("--dequantize", action="store_true", help=text)


def run(args: argparse.Namespace) -> None:
    """Write the merged model, and print the largest logit difference that it makes.

    What is lost on the way is said: an update that is zero or rounds away, and 4 bits that an
    adapter was tuned on and that the base is not in.

    Raises:
        UserError: for an NF4 base without `--dequantize`: rounding the sum to 4 bits again would
            lose most of the update, which is smaller than the gaps between the codes.
    """
    import torch

    from minituner import compute, qlora
    from minituner.checkpoints import adapters
    from minituner.checkpoints.models import load_model, save_model
    from minituner.checkpoints.names import base_hash
    from minituner.foundation.errors import UserError
    from minituner.lora import lora_layers
    from minituner.nf4 import NF4Linear

    compute.pin()
    model, tuned = load_model(args.base), None
    packed = any(isinstance(module, NF4Linear) for module in model.modules())
    if packed and not args.dequantize:
        raise UserError(
            f"{args.base}: stored in 4 bits; rounding the merged weights to 4 bits again would "
            "lose the update, so say --dequantize to merge into the dequantized float weights"
        )
    config = adapters.read_adapter_config(args.adapter)
    if not packed and config.get("revision") not in (None, "", base_hash(args.base)):
        tuned = adapters.nf4_base_of(config["revision"], args.base)
    if tuned is None:
        adapters.load_adapter(args.adapter, model, args.base)
    else:
        for wrapped in (model, tuned):
            adapters.put_on(wrapped, args.adapter, config)
    for name, layer in lora_layers(model).items():
        lost = qlora.lost_by_merging(layer)
        if not layer.lora_B.any():
            print(f"{args.adapter}: {name}: lora_B is all zero, so it changes nothing there")
        elif lost > LOST:
            print(f"{args.base}: {name}: {lost:.0%} of the update rounds away beside its weights")
    draw = compute.generator(0, "merge", "probe")
    ids = torch.randint(model.config.vocab_size, (SEQUENCES, model.config.context), generator=draw)

    @torch.no_grad()
    def logits(model: torch.nn.Module) -> torch.Tensor:
        return compute.accelerate(model.eval())(ids)

    before = logits(model)
    merged = logits(qlora.merge_model(model))
    if tuned is not None:
        apart = float((merged - logits(tuned)).abs().max())
        print(
            f"{args.adapter}: was tuned on this base in NF4; on its float weights the logits are "
            f"up to {apart:.2g} from those it was tuned to; merge it into the NF4 base with "
            "--dequantize to keep them"
        )
    difference = float((merged - before).abs().max())
    save_model(args.out, model)
    print(f"{args.out}: merged; the largest logit difference it makes is {difference:.2g}")
