"""The page of the further studies: docs/science.md."""

from typing import Any

import pandas as pd

from minituner.reporting import markdown
from studies.answers import STUDIED, STUDIES, interval


def as_markdown(
    table: pd.DataFrame, sentences: dict[str, str], seeds: int, settings: dict[str, Any]
) -> str:
    """For each study its question, its finding and its numbers.

    Args:
        table: columns as in `studies.COLUMNS`.
        sentences: study → its finding.
        seeds: how many.
        settings: `science` and `evaluate`.
    """
    percent = 100 * settings["evaluate"]["confidence"]
    lines = [
        "# Further studies",
        "",
        f"Made by `snakemake science`, sentences included: {seeds} seeds, {percent:g} % bootstrap "
        "intervals over pairs of subject and time and over seeds, differences paired by both. "
        "Whatever is chosen is chosen on validation; every figure in a sentence is of the test "
        "split. Unless said otherwise: "
        f"LoRA on q and v, r = {settings['science']['ranks'][0]}, the settings of `params.yaml`. "
        "That run is called standard. "
        'A difference whose interval holds zero is called "no difference can be told".',
        "",
        "![The five studies](science.png)",
    ]
    for study, (question, _) in STUDIES.items():
        rows = table[(table["study"] == study) & (table["split"] == "test")]
        cells = [
            [
                row["item"],
                row["against"] or ("base" if row["metric"] == "drift" else ""),
                STUDIED[row["metric"]][0],
                interval(row),
            ]
            for row in rows.to_dict("records")
        ]
        lines += ["", f"## {question}", "", sentences[study], ""]
        lines += markdown.table(["what", "against", "measure", "test [interval]"], cells)
    return "\n".join(lines) + "\n"
