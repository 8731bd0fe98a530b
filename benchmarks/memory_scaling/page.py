"""The picture and the table: measured peaks on predicted lines."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from minituner.budget.formula import BUCKETS
from minituner.foundation.units import human
from minituner.reporting import markdown
from minituner.reporting.style import BLUE, DASHED, ORANGE, RED

CARD = 24e9  # bytes of the largest consumer graphics cards
METHODS = {"lora": ("LoRA on a float32 base", BLUE, "o"), "qlora": ("QLoRA", ORANGE, "s")}
# Of bytes, as `human` writes them, into counts: 6.74 GB → 6.74 B(illion).
COUNT = str.maketrans({"G": "B", "B": "", "K": "k"})


def figure(table: pd.DataFrame) -> Figure:
    """Peak memory against parameters, both logarithmic: lines predicted, points measured."""
    drawn = Figure(figsize=(8.5, 5.6), layout="constrained")
    axes = drawn.subplots()
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
    return drawn


def as_markdown(table: pd.DataFrame) -> str:
    """docs/memory_scaling.md: the peak of a real step from MiniGPT to 7B."""
    cells = []
    for row in table.to_dict("records"):
        ran = pd.isna(row["skipped"])
        cells.append(
            [
                row["shape"],
                f"{row['parameters']:,}",
                METHODS[row["method"]][0],
                *(human(row[f"{bucket}_bytes_predicted"]) for bucket in BUCKETS),
                human(row["measured_bytes"]) if ran else f"not run: {row['skipped']}",
                human(row["predicted_bytes"]),
                f"{row['measured_bytes'] / row['predicted_bytes']:.2f}" if ran else "",
            ]
        )
    taken = table[table["skipped"].isna()]
    equal = all(
        (taken[f"{bucket}_bytes_measured"] == taken[f"{bucket}_bytes_predicted"]).all()
        for bucket in BUCKETS
    )
    header = ["shape", "parameters", "method", *BUCKETS, "peak", "predicted", "peak ÷ predicted"]
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
        *markdown.table(header, cells, "lrlrrrrrrr"),
        "",
        "The four buckets are the formula's; counted on the live tensors of each step that was run "
        f"they {'are equal to the byte' if equal else 'DIFFER'}.",
    ]
    return "\n".join(lines) + "\n"
