"""How many directions the task needs: over-parameterization, measured."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from minituner.reporting.style import BLUE, GREY, ORANGE
from studies.drawing import points
from studies.results import Row, Scores, shown
from studies.variants import METHODS, SUBSPACE

NAME, TITLE = "directions", "How many trained directions does the task need?"
SHARE = 0.9  # of the gain, as in Li et al. 2018's d90


def best(evidence: Any) -> dict[int, str]:
    """The run of each number of directions at its best rate."""
    science = evidence.settings["science"]
    runs = {}
    for d in sorted(science["directions"]):
        by_rate = {rate: f"d={d}, {rate:g}" for rate in science["direction_rates"]}
        runs[d] = by_rate[evidence.best(SUBSPACE, by_rate)]
    return runs


def answer(evidence: Any) -> tuple[list[Row], str]:
    """The gain in margin at equal drift by the number of directions, and by rank."""
    scores: Scores = evidence.scores[SUBSPACE]
    lora: Scores = evidence.scores[METHODS]
    rows = {
        d: scores.row(NAME, str(d), "margin", run, "base", at="drift")
        for d, run in best(evidence).items()
    }
    ranks = {
        rank: lora.row(NAME, f"LoRA r={rank}", "margin", f"LoRA r={rank}", "base", at="drift")
        for rank in sorted(evidence.settings["sweep"]["ranks"])
    }
    lowest = ranks[min(ranks)]
    enough = [d for d, row in rows.items() if row["value"] >= SHARE * lowest["value"]]
    weights = evidence.settings["model"]["n_layer"] * len(
        evidence.settings["lora"]["target_modules"]
    )
    each = evidence.settings["model"]["d_model"] ** 2
    sentence = (
        f"Of the {weights * each:,} numbers that the adapted weights hold, {min(enough):,} random "
        f"directions are the fewest tried that gain {100 * SHARE:.0f} % of what LoRA r = "
        f"{min(ranks)} gains with {2 * weights * evidence.settings['model']['d_model']:,} numbers "
        if enough
        else f"No number of random directions tried gains {100 * SHARE:.0f} % of what LoRA r = "
        f"{min(ranks)} does "
    )
    gains = ", ".join(f"{d:,}: {shown(row)}" for d, row in rows.items())
    return [*rows.values(), *ranks.values()], f"{sentence}({shown(lowest)}). By number: {gains}."


def draw(figure: Figure, evidence: Any, table: Any) -> None:
    """Gain against trained numbers, random directions beside ranks."""
    axes = figure.subplots()
    model, names = evidence.settings["model"], evidence.settings["lora"]["target_modules"]
    a_rank = 2 * model["n_layer"] * len(names) * model["d_model"]
    rows = table.set_index("item")
    ranks = rows[rows.index.str.startswith("LoRA")]
    random = rows[~rows.index.str.startswith("LoRA")]
    trained = [a_rank * int(item.split("=")[1]) for item in ranks.index]
    points(axes, random.index.astype(int), random["value"], random, False, color=ORANGE,
           linestyle="-", label="random directions")  # fmt: skip
    points(
        axes,
        trained,
        ranks["value"],
        ranks,
        False,
        color=BLUE,
        linestyle="-",
        label="LoRA, by rank",
    )
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(0, color=GREY, linewidth=1)
    axes.set_xlabel("trained numbers")
    axes.set_ylabel("gain in margin at equal drift, nats")
    axes.legend()
