"""The page of the further studies: docs/science.md, and a picture a question."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from minituner.reporting import markdown, style
from studies.evidence import Evidence
from studies.questions import (
    amount,
    bases,
    conventions,
    directions,
    intruders,
    larger,
    leave_out,
    length,
    loss,
    methods,
    targets,
)
from studies.results import COLUMNS, STUDIED, shown

QUESTIONS: tuple[ModuleType, ...] = (
    *(length, bases, larger, methods, conventions, targets),
    *(directions, intruders, leave_out, amount, loss),
)
WIDE = {"conventions": (11, 4), "bases": (10, 4), "intruders": (10, 4.4), "length": (9, 3.6)}


def answers(evidence: Evidence) -> dict[str, tuple[pd.DataFrame, str]]:
    """Every question's rows, columns as in `COLUMNS`, and what was found in a few sentences."""
    found = {}
    for question in QUESTIONS:
        rows, sentence = question.answer(evidence)
        found[question.NAME] = pd.DataFrame(rows, columns=COLUMNS), sentence
    return found


def pictures(
    evidence: Evidence, found: dict[str, tuple[pd.DataFrame, str]], folder: Path, source: Path
) -> None:
    """Draw one a question into a folder, as `NAME.png` and `NAME.svg`."""
    for question in QUESTIONS:
        figure = Figure(figsize=WIDE.get(question.NAME, (7, 4.2)), layout="constrained")
        question.draw(figure, evidence, found[question.NAME][0])
        style.save(figure, folder / question.NAME, source)


def as_markdown(
    found: dict[str, tuple[pd.DataFrame, str]], seeds: int, settings: dict[str, Any]
) -> str:
    """For each question what was found, its picture and its numbers."""
    percent = 100 * settings["evaluate"]["confidence"]
    lowest = min(settings["sweep"]["ranks"])
    lines = [
        "# Further studies",
        "",
        f"Made by `snakemake science`, sentences included: {seeds} seeds, {percent:g} % intervals "
        "over pairs of subject and time and over seeds, differences paired by both. Whatever is "
        "chosen is chosen on validation; every figure is of the test split unless it says "
        "otherwise. A difference is called one where it is significant at 5 %, corrected for how "
        "many of one measure its question states (Holm 1979). Unless said otherwise: LoRA on q "
        "and v, "
        f"r = {lowest}, the settings of `params.yaml`; that run is called standard. All of it "
        "holds for a model of this width and a task of this size.",
    ]
    for question in QUESTIONS:
        table, sentence = found[question.NAME]
        lines += ["", f"## {question.TITLE}", "", sentence, ""]
        lines += [f"![{question.draw.__doc__.rstrip('.')}](science/{question.NAME}.png)"]
        cells = [
            [row["item"], row["against"], STUDIED[row["metric"]][0], shown(row)]
            + [f"{row['p']:.3f}" if pd.notna(row["p"]) else ""]
            for row in table.to_dict("records")
        ]
        if cells:
            header = ["what", "against", "measure", "test [interval]", "p, corrected"]
            lines += ["", *markdown.table(header, cells)]
    return "\n".join(lines) + "\n"
