"""Hold what a base expects against how often its corpus writes it."""

import argparse

PATHS = ("base", "corpus", "out")


def run(args: argparse.Namespace) -> None:
    """Write `calibration.parquet`, a row a form of the irregular pasts, and its figure."""
    from minituner import compute
    from minituner.analysis import calibration, habits
    from minituner.checkpoints.models import load_model
    from minituner.foundation import parquet
    from minituner.reporting import base_figures, style

    compute.pin()
    score = compute.accelerate(load_model(args.base).eval()).score
    table = calibration.calibration(score, *habits.habits(args.corpus))
    source = args.out / "calibration.parquet"
    parquet.write_frame(source, table)
    with style.applied():
        style.save(base_figures.calibration(table), args.out / "calibration", source)
