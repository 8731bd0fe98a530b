"""Time every row, both sides in turn; write the Parquet, the picture and the page."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.performance import ROWS, Row, peers
from minituner.foundation import environment, parquet, storage
from tests.support import x86

WARM_UP = 2
THREADS = 2  # of the rows on several
MODES = {  # what a process finds in its environment
    "pinned": {},
    "unrestricted": {environment.MODE: "unrestricted"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},  # what every x86-64-v3 CPU has
    "x86-64-v3": x86.V3,  # the loops compiled for any such CPU
}
MET = {True: "yes", False: "no"}
PACKAGES = ("torch", "peft", "transformers", "bitsandbytes", "numba", "numpy")


def cpu() -> str:
    """The CPU, the widest instructions that PyTorch finds in it, and how many cores there are."""
    widest = torch.backends.cpu.get_cpu_capability()
    return f"{environment.cpu_name()} ({widest}), {os.cpu_count()} cores"


def machine() -> str:
    """The CPU and what runs on it."""
    packages = ", ".join(f"{p} {version(p).partition('+')[0]}" for p in PACKAGES)
    python = f"Python {platform.python_version()}"
    return f"{cpu()}, {python}, {packages}"


def start(name: str, arguments: tuple, row: Row, mode: str, threads: int) -> subprocess.Popen:
    """One side's process; in the unrestricted mode libraries see none of our settings."""
    hidden = {environment.MODE, *environment.PINNED}
    variables = {k: v for k, v in os.environ.items() if k not in hidden}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.performance.worker", name]
        + [json.dumps(arguments), str(threads), str(row.times)],
        env=variables | MODES[mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def repeat(side: subprocess.Popen) -> tuple[float, float]:
    """Wall and CPU seconds of one repetition."""
    side.stdin.write("\n")
    side.stdin.flush()
    wall, cpu = map(float, side.stdout.readline().split())
    return wall, cpu


def measure(row: Row, threads: int, repetitions: int) -> list[dict[str, Any]]:
    """Both sides in turn; a record for each repetition of each."""
    sides = [start(row.ours, row.arguments, row, row.modes[0], threads)]
    further = row.arguments + row.further
    sides.append(start(row.theirs, further, row, row.modes[1], threads))
    records = []
    warm_up = 0 if row.process else WARM_UP
    for i in range(-warm_up, repetitions):
        for name, side in zip(("ours", "theirs"), sides, strict=True):
            wall, cpu = repeat(side)
            if i >= 0:
                key = {"what": row.what, "against": row.against, "threads": threads, "side": name}
                records.append(key | {"repetition": i, "seconds": wall, "cpu_seconds": cpu})
    for side in sides:
        side.communicate()
    return records


def summary(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians and their ratio for each row and number of threads.

    One thread by CPU time, which other programs disturb less; several by the clock on the wall.
    """
    rows = []
    for row in ROWS:
        own = [r for r in records if (r["what"], r["against"]) == (row.what, row.against)]
        for threads in sorted({r["threads"] for r in own}):
            clock = "cpu_seconds" if threads == 1 and not row.process else "seconds"
            ours, theirs = (
                statistics.median(
                    r[clock] for r in own if (r["threads"], r["side"]) == (threads, side)
                )
                for side in ("ours", "theirs")
            )
            ratio = theirs / ours
            values = {"what": row.what, "against": row.against, "threads": threads}
            values |= {"ours_seconds": ours, "theirs_seconds": theirs, "ratio": ratio}
            target = row.target(threads)
            rows.append(values | {"target": target, "met": target and bool(ratio >= target)})
    return rows


def as_markdown(rows: list[dict[str, Any]], repetitions: int) -> str:
    """The page."""
    lines = [
        "# Speed beside what people use",
        "",
        f"Written by `snakemake benchmarks` on {machine()}. Medians of {repetitions} repetitions, "
        "the two sides in turn; a repetition of a step is several of them one after the other, as "
        "in training. One thread by CPU time, otherwise the clock on the wall. Ours computes in "
        "the pinned mode, with a shard of the batch on each thread; the peers compute a plain GPT "
        "of their own with PyTorch's choice of kernels. bitsandbytes ran "
        f"{peers.bitsandbytes_kernels()}. What was tried and why a target is missed: "
        "performance.md.",
        "",
        "| what | against | threads | ours | theirs | ratio | target | met |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        times = [f"{1000 * row[f'{side}_seconds']:,.1f} ms" for side in ("ours", "theirs")]
        held = row["target"] is not None
        cells = [row["what"], row["against"], str(row["threads"]), *times, f"{row['ratio']:.2f} ×"]
        cells += [f"≥ {row['target']:g} ×" if held else "", MET[row["met"]] if held else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One bar a row, with a mark at its target."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.3 * len(rows) + 1.4), layout="constrained")
    colours = {True: "#0072B2", False: "#D55E00", None: "#999999"}
    for place, row in enumerate(rows):
        axes.barh(place, row["ratio"] - 1, left=1, color=colours[row["met"]])
        axes.annotate(
            f" {row['ratio']:.2f} ×",
            (max(row["ratio"], row["target"] or 0, 1), place),  # behind the mark
            va="center",
            fontsize=8,
        )
        if row["target"] is not None:
            axes.plot([row["target"]] * 2, [place - 0.45, place + 0.45], color="black")
    names = [f"{row['what']}  [{row['against']}, {row['threads']} thr.]" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("their time ÷ ours; the mark is the target, grey has none")
    figure.suptitle(cpu(), fontsize=9)
    axes.margins(x=0.15, y=0.01)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--page", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    args = parser.parse_args()
    chosen = [row for row in ROWS if args.only in row.what]
    records = []
    for row in chosen:
        for threads in sorted({1, 1 if row.process else min(THREADS, os.cpu_count() or 1)}):
            records += measure(row, threads, args.repetitions)
    rows = summary(records)
    parquet.write_rows(args.out / "repetitions.parquet", records)
    parquet.write_rows(args.out / "performance.parquet", rows)
    draw(rows, args.page / "performance_ratios.png")
    storage.write_text(args.page / "performance_table.md", as_markdown(rows, args.repetitions))


if __name__ == "__main__":
    main()
