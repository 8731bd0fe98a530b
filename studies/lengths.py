"""How near to its corpus's habit a base comes with how many steps of training."""

import argparse
import csv
from pathlib import Path

from minituner import compute
from minituner.analysis import calibration, habits
from minituner.checkpoints.models import load_model
from minituner.checkpoints.names import CURVE_FILE
from minituner.foundation import parquet


def measured(base: Path, corpus: Path) -> dict[str, float]:
    """How far off a base is on validation, and its loss there."""
    score = compute.accelerate(load_model(base).eval()).score
    table = calibration.calibration(score, *habits.habits(corpus))
    with open(base / CURVE_FILE, encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    return {
        "steps": int(last["step"]),
        "off": habits.off(table),
        "val_loss": float(last["val_loss"]),
    }


def main() -> None:
    """Write a row a base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=Path, nargs="+", required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    compute.pin()
    rows = [measured(base, args.corpus) for base in args.bases]
    parquet.write_rows(args.out, sorted(rows, key=lambda row: row["steps"]))


if __name__ == "__main__":
    main()
