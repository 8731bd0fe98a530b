"""Measure how wall time and memory grow, in a clone built from empty; write the page and picture.

The clone is of the last commit. Everything runs on two cores at most, as in CI.
"""

import argparse
import itertools
import operator
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.performance.__main__ import machine
from minituner.foundation import parquet, storage

ROOT = Path(__file__).resolve().parents[2]
CORES = 2
SENTENCES = (100_000, 200_000, 400_000, 800_000, 1_600_000)  # about, and at least the corpus
RUNS = (1, 2, 4, 8, 16, 32)
WIDTHS = (64, 128, 256, 512, 1024)
RANKS = (1, 2, 4, 8, 16, 32)
EMPTY = 100  # seeds from here on belong to no other run
# What the two jobs of a run, which train and score, load before they begin.
IMPORTS = """
import minituner
from minituner import compute, evaluate, train
from minituner.checkpoints import adapters, models
from minituner.compute import accelerated
from minituner.corpus import subsets
from minituner.workflow import cli
"""
JOBS = 2


def process(command: Sequence[str], folder: Path = ROOT) -> dict[str, float]:
    """Run a command; its wall and CPU seconds and its largest resident memory in bytes.

    CPU seconds are the kernel's count for it and all below it; `below_seconds` leave out its own.

    Raises:
        SystemExit: if it fails.
    """
    started = time.perf_counter()
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    # Until it ends; what it used itself can be read as long as it is not waited for in earnest.
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - started
    fields = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    _, status, usage = os.wait4(running.pid, 0)
    if status:
        sys.exit(f"minituner: error: failed in {folder}: {' '.join(map(str, command))}")
    used = usage.ru_utime + usage.ru_stime
    return {
        "seconds": wall,
        "cpu_seconds": used,
        "below_seconds": used - own,
        "peak_bytes": 1024 * usage.ru_maxrss,
    }


def larger_templates(sentences: int, made: int, out: Path) -> int:
    """Write the templates with as many subjects as so many sentences need; how many they make.

    As they are, the templates make `made`.
    """
    text = (ROOT / "data/templates.csv").read_text(encoding="utf-8")
    subjects = re.findall(r"(?m)^subject,.*,(\dsg),,$", text)
    each = made // len(subjects)
    more = max(0, round(sentences / each) - len(subjects))
    names = map("".join, itertools.product("abcdefghijklmnoprstuvw", repeat=4))
    rows = [f"subject,{name},3sg,,\n" for name in itertools.islice(names, more)]
    out.write_text("".join([text, *rows]), encoding="utf-8")
    return each * (len(subjects) + more)


def corpora(folder: Path) -> list[dict[str, Any]]:
    """Make and draw from corpora of several sizes."""
    rows = []
    command = [sys.executable, "-m", "minituner"]
    made = pq.read_metadata(ROOT / "data/corpus.parquet").num_rows
    for sentences in SENTENCES:
        n = larger_templates(sentences, made, folder / "templates.csv")
        tables = ["--verbs", "data/verbs.csv"]
        corpus = ["corpus", *tables, "--templates", f"{folder}/templates.csv"]
        subsets = ["subsets", *tables, "--corpus", f"{folder}/corpus.parquet"]
        subsets += ["--irregular", f"{folder}/i.parquet", "--control", f"{folder}/c.parquet"]
        for what, arguments in (
            ("corpus", [*corpus, "--out", f"{folder}/corpus.parquet"]),
            ("subsets", subsets),
        ):
            rows.append({"what": what, "size": n, **process([*command, *arguments])})
    return rows


def widths() -> list[dict[str, Any]]:
    """A step of LoRA and QLoRA at several widths."""
    rows = []
    for method, width in itertools.product(("lora", "qlora"), WIDTHS):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.growth.step", method, str(width)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds, held = map(float, done.stdout.split())
        rows.append({"what": f"{method} step", "size": width, "seconds": seconds,
                     "cpu_seconds": seconds, "peak_bytes": held})  # fmt: skip
    return rows


def workflow(folder: Path) -> list[dict[str, Any]]:
    """Build all from empty, again with nothing to do, and then more and more runs at once."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    snakemake = ["snakemake", "--quiet", "all", "--cores", str(CORES), "--"]
    rows = [
        {"what": what, "size": CORES, **process([*snakemake, "all"], folder)}
        for what in ("all", "all, nothing to do")
    ]
    loads = [process([sys.executable, "-c", IMPORTS], folder) for _ in range(5)]
    middle = sorted(loads, key=operator.itemgetter("cpu_seconds"))[len(loads) // 2]
    rows.append({"what": "imports", "size": 1, **middle})
    seed = EMPTY
    for n in RUNS:
        names = [f"lora_r{RANKS[i % 6]}_s{seed + i // 6}" for i in range(n)]
        seed += -(-n // 6)
        targets = [f"results/evaluate/runs/{name}.parquet" for name in names]
        rows.append({"what": "runs", "size": n, **process([*snakemake, *targets], folder)})
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Time and memory against size, each beside linear growth from its largest size."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    panels = [
        ("sentences", ("corpus", "subsets"), 1),
        ("runs, trained and scored", ("runs",), 1),
        ("d_model", ("lora step", "qlora step"), 2),
    ]
    figure, grid = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for column, (label, names, power) in enumerate(panels):
        for line, (field, unit, name) in enumerate(
            (("seconds", 1, "seconds"), ("peak_bytes", 1e6, "MB"))
        ):
            axes = grid[line][column]
            for colour, what in zip(("#0072B2", "#D55E00"), names, strict=False):
                own = [row for row in rows if row["what"] == what]
                sizes, values = [r["size"] for r in own], [r[field] / unit for r in own]
                axes.plot(sizes, values, "o-", color=colour, label=what)
                ideal = [values[-1] * (size / sizes[-1]) ** power for size in sizes]
                axes.plot(sizes, ideal, ":", color=colour, linewidth=1)
            axes.set(xscale="log", yscale="log", xlabel=label, ylabel=name)
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=7)
            axes.minorticks_off()
            axes.yaxis.set_major_formatter("{x:g}")
            axes.legend(fontsize=8)
            axes.grid(alpha=0.3)
    figure.suptitle(
        "dotted: growth in proportion to the work (d_model: to its square)", fontsize=10
    )
    figure.savefig(path, dpi=110)


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The page."""
    by = {(row["what"], row["size"]): row for row in rows}
    whole, again = by["all", CORES], by["all, nothing to do", CORES]
    share = whole["seconds"] / (whole["below_seconds"] / CORES)
    few, many = by["runs", RUNS[-3]], by["runs", RUNS[-1]]
    each = (many["cpu_seconds"] - few["cpu_seconds"]) / (many["size"] - few["size"])
    loading = JOBS * by["imports", 1]["cpu_seconds"]
    verdict = {True: "yes", False: "no"}
    lines = [
        "# How time and memory grow",
        "",
        f"Written by `snakemake growth` on {machine()}, in a clone built from empty.",
        "",
        "| what | measured | target | met |",
        "|---|--:|--:|---|",
        f"| `snakemake all`: wall, {whole['seconds']:.0f} s, ÷ its jobs' CPU time on {CORES} "
        f"cores, {whole['below_seconds'] / CORES:.0f} s | {share:.2f} | ≤ 1.2 | "
        f"{verdict[share <= 1.2]} |",
        f"| `snakemake all` with nothing to do | {again['seconds']:.1f} s | ≤ 2 s | "
        f"{verdict[again['seconds'] <= 2]} |",
        f"| CPU time of one run more, trained and scored | {each:.1f} s | | |",
        f"| of that the imports of its {JOBS} jobs | {loading:.1f} s, {loading / each:.0%} | | |",
        "",
        "![wall time and memory against runs, sentences and width](growth.png)",
        "",
        "| what | size | seconds | CPU seconds | memory |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        if not row["what"].startswith("all"):
            lines.append(
                f"| {row['what']} | {row['size']:,} | {row['seconds']:.2f} | "
                f"{row['cpu_seconds']:.2f} | {row['peak_bytes'] / 1e6:,.0f} MB |"
            )
    lines += [
        "",
        "The jobs' CPU time is the kernel's count for Snakemake and all below it, less Snakemake's "
        "own: the samples in Snakemake's benchmark files miss the end of each job. "
        "Memory is the largest resident of any one process; of a step, the bytes by formula "
        "(docs/theory/03-memory-footprint.md). A step's seconds are CPU time, on 8 × 48 symbols.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--page", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = corpora(Path(folder)) + widths() + workflow(Path(folder) / "clone")
    parquet.write_rows(args.out, rows)
    draw(rows, args.page / "growth.png")
    storage.write_text(args.page / "growth.md", as_markdown(rows))


if __name__ == "__main__":
    main()
