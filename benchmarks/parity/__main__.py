"""Write the table of all comparisons, measured now."""

import argparse
from importlib.metadata import version
from pathlib import Path

from benchmarks.parity import COMPARISONS, against_bitsandbytes, against_peft  # noqa: F401
from minituner.foundation import storage


def as_markdown() -> str:
    """The table, measured now."""
    packages = ("torch", "peft", "transformers", "bitsandbytes")
    named = ", ".join(f"{name} {version(name).partition('+')[0]}" for name in packages)
    lines = [
        "# Parity with PEFT and bitsandbytes",
        "",
        f"Measured with {named} on the CPU, in float32 unless it says otherwise. `snakemake "
        "parity` writes this page; tests/benchmarks/test_parity.py holds each row to its bound and "
        "shows that a small fault on our side breaks it. Ours computes by the compiled loops that "
        "train and score; where a row says textbook, by the modules of `model.py`, `lora.py` and "
        "`nf4.py`. A difference of 0 means equal bit for bit.",
        "",
        "| what | against | measured as | largest difference | bound |",
        "|---|---|---|--:|--:|",
    ]
    for c in COMPARISONS:
        difference = c.run(False)
        lines.append(f"| {c.what} | {c.peer} | {c.measure} | {difference:.2g} | {c.bound:g} |")
    lines += [
        "",
        "Dequantized weights are compared where a row is a whole number of blocks or odd. On other "
        "shapes the CPU kernel of bitsandbytes 0.50 mixes up scales: its error on a 64 × 32 weight "
        "is three times the largest that NF4 allows. Codes and scales are equal there too.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    storage.write_text(parser.parse_args().out, as_markdown())


if __name__ == "__main__":
    main()
