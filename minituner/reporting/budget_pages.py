"""The tables of parameters and bytes for people: counted, measured, and of any shape."""

from typing import Any

from minituner.budget.calculator import Question, bits_a_parameter, rows, shape_of
from minituner.budget.formula import BUCKETS
from minituner.budget.shapes import Shape
from minituner.foundation.units import human
from minituner.reporting import markdown

Rows = list[dict[str, Any]]


def of_regimes(rows: Rows, shape: Shape, B: int, T: int) -> str:
    """counts.md: every regime of the base by formula, for B sequences of T symbols."""
    cells = [
        [
            row["regime"],
            f"{row['trainable_parameters']:,}",
            f"{row['trainable_percent']:.2f} %",
            *(human(row[f"{bucket}_bytes"]) for bucket in (*BUCKETS, "total")),
            f"{row['file_percent']:.2f} %",
        ]
        for row in rows
    ]
    header = ["regime", "trained", "share", *BUCKETS, "total", "file ÷ base"]
    lines = [
        "# Parameters and bytes of a training step",
        "",
        f"MiniGPT with {shape.total_parameters():,} parameters, {B} sequences of {T} symbols, "
        "float32, AdamW. By formula; held against the instantiated models.",
        "",
        *markdown.table(header, cells, "lrrrrrrrr"),
    ]
    return "\n".join(lines) + "\n"


def of_memory(rows: Rows, sentences: int, symbols: int) -> str:
    """memory.md: what one real step held, and what NF4 saves of it."""

    def cell(row: dict[str, Any], bucket: str) -> str:
        measured, predicted = (row[f"{bucket}_bytes_{kind}"] for kind in ("measured", "predicted"))
        return human(measured) + ("" if measured == predicted else f" ({human(predicted)})")

    cells = [
        [
            row["regime"],
            *(cell(row, bucket) for bucket in BUCKETS),
            human(row["total_bytes_measured"]),
        ]
        for row in rows
    ]
    by_method = {row["method"]: row for row in rows}
    linears, weights = (
        by_method["lora"][f"{part}_bytes_measured"] / by_method["qlora"][f"{part}_bytes_measured"]
        for part in ("linears", "weights")
    )
    lines = [
        "# Memory of a training step, measured",
        "",
        f"One real step on {sentences} sentences, {symbols} symbols up to the last that the loss "
        "looks at; live tensors, each storage once. In brackets the formula's figure where it "
        "differs.",
        "",
        *markdown.table(["regime", *BUCKETS, "total"], cells, "lrrrrr"),
        "",
        f"NF4 holds the blocks' Linears in {linears:.2f} × fewer bytes than float32 "
        f"({linears / 2:.2f} × fewer than 16 bits); all weights, embeddings, norms and adapter "
        f"included, take {weights:.2f} × fewer.",
    ]
    return "\n".join(lines) + "\n"


def of_shape(question: Question) -> str:
    """What `minituner counts --shape` prints."""
    shape, precision = shape_of(question.name), f"{8 * question.each} bits where not quantized"
    buckets = BUCKETS if question.B else BUCKETS[:3]
    step = ""
    if question.B:
        step = f", {question.B} × {question.T} symbols a step (activations in float32)"
    cells = [
        [
            row["regime"],
            f"{row['trainable_parameters']:,}",
            f"{row['trainable_percent']:.2f} %",
            *(human(row[f"{bucket}_bytes"]) for bucket in buckets),
            human(sum(row[f"{bucket}_bytes"] for bucket in buckets)),
            human(row["adapter_bytes"]) if row["adapter_bytes"] else "",
        ]
        for row in rows(question)
    ]
    header = ["regime", "trained", "share", *buckets, "total", "adapter file"]
    single, double = (bits_a_parameter(question.blocksize, twice) for twice in (False, True))
    lines = [
        f"# {question.name}: {shape.total_parameters():,} parameters",
        "",
        f"{precision}, AdamW's moments in float32{step}.",
        "",
        *markdown.table(header, cells, "l" + "r" * (len(header) - 1)),
        "",
        f"NF4 with blocks of {question.blocksize}: {single:.3f} bits a parameter, {double:.3f} with"
        " double quantization.",
    ]
    return "\n".join(lines) + "\n"
