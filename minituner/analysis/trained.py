"""QLoRA as it was trained, against LoRA of its seed, with two LoRA seeds as the yardstick.

Criterion 4 puts one adapter on both bases. Here each method has trained its own: they agree if a
QLoRA run is no further from the LoRA run of its seed than that is from LoRA with another seed.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from minituner.analysis.summary import lookup
from minituner.analysis.wording import LEVELS, Format

APART = {
    "mean_abs": ("mean size of the difference of logits", Format(3)),
    "kl": ("divergence, KL(LoRA ‖ the other), nats a symbol", Format(4)),
}
PAIRED = {
    "form_logp": "log-probability of the correct form, nats",
    "margin": "log-odds margin, nats",
    "accuracy": "irregular accuracy, points",
}


def comparison(summary: pd.DataFrame, agreement: pd.DataFrame, rank: int) -> list[dict[str, str]]:
    """What each figure is between QLoRA and LoRA of a seed, and between two LoRA seeds.

    Args:
        summary: see `summary.summary_table`.
        agreement: a row a pair of runs, see `minituner agreement`.
        rank: of both.
    """
    group = f"lora_r{rank}"
    rows = []
    of_rank = agreement[agreement["adapter"].fillna("").str.startswith(f"{group}_s")]
    kinds = {kind: table for kind, table in of_rank.groupby("kind")}
    if "trained" in kinds:
        for column, (what, form) in APART.items():
            trained, seeds = (
                _spread(kinds[kind][column], form) if kind in kinds else "–"
                for kind in ("trained", "seeds")
            )
            rows.append({"what": what, "trained": trained, "seeds": seeds})
    metrics = set(summary.loc[summary["unit"] == f"q{group}", "metric"])
    for metric, what in PAIRED.items():
        if f"{metric}_over_lora" in metrics:
            form = LEVELS[f"{metric}_over_lora"]
            trained = form.interval(lookup(summary, f"q{group}", f"{metric}_over_lora"))
            rows.append(
                {"what": what, "trained": trained, "seeds": _between(summary, group, metric, form)}
            )
    return rows


def _spread(values: pd.Series, form: Format) -> str:
    """The mean over seeds, with the smallest and the largest."""
    return (
        f"{form.value(values.mean())} ({form.number(values.min())} to {form.number(values.max())})"
    )


def _between(summary: pd.DataFrame, group: str, metric: str, form: Format) -> str:
    """The mean size of the difference between two runs of a group."""
    chosen = summary[summary["unit"].str.startswith(f"{group}_s")]
    chosen = chosen[(chosen["metric"] == metric) & (chosen["split"] == "test")]
    sizes = [abs(one - other) for one, other in combinations(chosen["value"], 2)]
    return f"± {form._replace(sign='').value(float(np.mean(sizes)))}" if sizes else "–"
