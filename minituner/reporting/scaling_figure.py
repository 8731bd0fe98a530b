"""The memory-scaling picture and its table: measured peaks on predicted lines."""

from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from minituner.budget.formula import BUCKETS, human
from minituner.foundation import storage
from minituner.reporting.figures import BLUE, DASHED, ORANGE, RED, STYLE, save

CARD = 24e9  # bytes of the largest consumer graphics cards
METHODS = {"lora": ("LoRA on a float32 base", BLUE, "o"), "qlora": ("QLoRA", ORANGE, "s")}


def draw(table: pd.DataFrame) -> Figure:
    """Peak memory against parameters, both logarithmic: lines predicted, points measured."""
    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    axes = figure.subplots()
    for method, (label, color, marker) in METHODS.items():
        rows = table[table["method"] == method].sort_values("parameters")
        axes.plot(
            rows["parameters"], rows["predicted_bytes"], color=color, label=f"{label}, predicted"
        )
        run = rows.dropna(subset=["measured_bytes"])
        axes.plot(
            run["parameters"],
            run["measured_bytes"].astype(float),
            color=color,
            marker=marker,
            markersize=8,
            linestyle="none",
            markerfacecolor="white",
            markeredgewidth=2,
            label=f"{label}, measured peak of the process",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(CARD, color=RED, linestyle=DASHED, linewidth=1.2)
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate("24 GB", (0.01, CARD), (0, 4), color=RED, **place)
    axes.margins(y=0.08)
    lowest = table["predicted_bytes"].min()
    for _, row in table[table["method"] == "qlora"].iterrows():
        at = (row["parameters"], lowest)
        axes.annotate(row["shape"], at, (0, -14), textcoords="offset points", rotation=90, va="top",
                      ha="center", fontsize=9)  # fmt: skip
    axes.set_ylim(bottom=lowest / 4)
    axes.set_xlabel("parameters of the base")
    axes.set_ylabel("peak resident memory of one training step")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: human(x).translate(COUNT)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: human(y)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title("Memory of a real training step, rank 8 on all Linears", loc="left")
    axes.legend(fontsize=9, loc="upper left", bbox_to_anchor=(0, 0.92))
    return figure


# Of bytes, as `human` writes them, into counts: 6.74 GB → 6.74 B(illion).
COUNT = str.maketrans({"G": "B", "B": "", "K": "k"})


def as_markdown(table: pd.DataFrame) -> str:
    """The table for people."""
    lines = [
        "# Memory of a real training step, from MiniGPT to 7B",
        "",
        f"One AdamW step on {table['tokens'].max()} tokens, rank 8 on all Linears, random weights; "
        "what is not in NF4 is in float32. *Peak*: the fullest the process has been, from start to "
        "end, building and quantizing the model included; *predicted*: the process before plus the "
        "formula. Made by `snakemake memory_scaling`, a point a process.",
        "",
        "![Peak memory against parameters](memory_scaling.png)",
        "",
        "| shape | parameters | method | weights | gradients | optimizer | activations | peak "
        "| predicted | peak ÷ predicted |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in table.to_dict("records"):
        ran = pd.isna(row["skipped"])
        cells = [row["shape"], f"{row['parameters']:,}", METHODS[row["method"]][0]]
        cells += [human(row[f"{bucket}_bytes_predicted"]) for bucket in BUCKETS]
        cells += [human(row["measured_bytes"]) if ran else f"not run: {row['skipped']}"]
        cells += [human(row["predicted_bytes"])]
        cells += [f"{row['measured_bytes'] / row['predicted_bytes']:.2f}" if ran else ""]
        lines.append("| " + " | ".join(cells) + " |")
    ran = table[table["skipped"].isna()]
    equal = all(
        (ran[f"{bucket}_bytes_measured"] == ran[f"{bucket}_bytes_predicted"]).all()
        for bucket in BUCKETS
    )
    lines += [
        "",
        "The four buckets are the formula's; counted on the live tensors of each step that was run "
        f"they {'are equal to the byte' if equal else 'DIFFER'}.",
    ]
    return "\n".join(lines) + "\n"


def report(steps: list[Path], out: Path, page: Path) -> None:
    """Gather the points into `out`/memory_scaling.parquet and .csv, and write the page.

    Args:
        steps: what `scaling.take_step` wrote.
        out: folder of the tables.
        page: folder of `memory_scaling.md`, `.png` and `.svg`.
    """
    rows: list[dict[str, Any]] = [storage.read_json(step) for step in steps]
    data = pa.Table.from_pylist(sorted(rows, key=lambda row: (row["parameters"], row["method"])))
    storage.write_table(out / "memory_scaling.parquet", data)
    storage.write_table(out / "memory_scaling.csv", data)
    table = data.to_pandas()
    with matplotlib.rc_context(STYLE):
        save(draw(table), page / "memory_scaling", storage.sha256(out / "memory_scaling.parquet"))
    storage.write_text(page / "memory_scaling.md", as_markdown(table))
