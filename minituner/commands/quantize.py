"""Store the base in NF4."""

import argparse

SETTINGS = ("nf4",)
PATHS = ("base", "out")


def run(args: argparse.Namespace) -> None:
    """Write the float model in `--base` to `--out` in NF4.

    Raises:
        UserError: if it is packed already: its floats are gone, and errors would add up.
    """
    from minituner import compute, qlora
    from minituner.checkpoints.models import load_model, save_model
    from minituner.foundation.errors import UserError
    from minituner.workflow import settings

    compute.pin()
    section = settings.load(args.settings, *SETTINGS)["nf4"]
    model = load_model(args.base)
    names = qlora.block_linears(model)
    if not names:
        raise UserError(f"{args.base}: in NF4 already; name the float base")
    quantization = {"quant_type": "nf4", "modules": names, **section}
    qlora.replace_linears(model, **quantization, quantize=compute.quantize)
    save_model(args.out, model, quantization)
