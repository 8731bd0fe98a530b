"""How long the base should train."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from minituner.foundation.errors import UserError
from minituner.reporting.style import BLUE, GREY
from studies.drawing import SHARES
from studies.results import Row

NAME, TITLE = "length", "When has the base learnt its corpus's habit?"


def chosen(lengths: pd.DataFrame, gain: float) -> int:
    """The shortest length beyond which none of those tried is better by as much as `gain`."""
    rows = lengths.sort_values("steps").reset_index(drop=True)
    for i, row in rows.iterrows():
        if row["off"] - rows["off"][i:].min() < gain:
            return int(row["steps"])
    raise AssertionError("the last length is never worse than itself")


def answer(evidence: Any) -> tuple[list[Row], str]:
    """The length by calibration, with the loss beside it.

    Raises:
        UserError: if params.yaml has another.
    """
    lengths, settings = evidence.lengths, evidence.settings
    gain, steps = settings["science"]["base_gain"], settings["base"]["steps"]
    best = chosen(lengths, gain)
    if best != steps:
        raise UserError(f"base.steps: {steps}, but calibration chooses {best}; write that")
    offs = ", ".join(
        f"{100 * row.off:.1f} with {row.steps:,} steps" for row in lengths.itertuples()
    )
    lowest = lengths.loc[lengths["val_loss"].idxmin()]
    return [], (
        f"Of 100 choices between forms behind new prompts (validation) the base makes {offs} "
        f"otherwise than its corpus. The shortest length beyond which another buys fewer than "
        f"{100 * gain:g} such choices is {best:,} steps, which params.yaml has. The loss on "
        f"validation is lowest with {int(lowest['steps']):,} steps ({lowest['val_loss']:.4f} nats "
        "a symbol): it is mostly made of what is not the form, and by itself it would stop before "
        "the habit is learnt."
    )


def draw(figure: Figure, evidence: Any, table: pd.DataFrame) -> None:
    """How far off, and the loss, by length."""
    left, right = figure.subplots(1, 2)
    lengths = evidence.lengths
    left.plot(lengths["steps"], lengths["off"], "o-", color=BLUE)
    left.yaxis.set_major_formatter(SHARES)
    left.set_ylabel("choices otherwise than the corpus")
    left.set_ylim(bottom=0)
    right.plot(lengths["steps"], lengths["val_loss"], "o-", color=GREY)
    right.set_ylabel("loss on validation, nats a symbol")
    for axes in (left, right):
        axes.set_xlabel("steps of training")
