"""Count NF4's codes."""

import argparse

PATHS = ("base", "nf4", "out")


def run(args: argparse.Namespace) -> None:
    """Write `codes.parquet`, `histogram.parquet` and the figure.

    Raises:
        UserError: if `--nf4` is not in NF4.
    """
    from minituner.analysis import codes
    from minituner.checkpoints.models import load_model, read_config
    from minituner.foundation import parquet
    from minituner.foundation.errors import UserError
    from minituner.reporting import style, weight_figures

    quantization = read_config(args.nf4)[1]
    if not quantization:
        raise UserError(f"{args.nf4}: no NF4 model; name the folder that `quantize` wrote")
    models = load_model(args.base), load_model(args.nf4)
    by_code, histogram = codes.tables(*models, quantization["modules"])
    parquet.write_frame(args.out / "codes.parquet", by_code)
    parquet.write_frame(args.out / "histogram.parquet", histogram)
    with style.applied():
        figure = weight_figures.codes(by_code, histogram)
        style.save(figure, args.out / "codes", args.out / "codes.parquet")
