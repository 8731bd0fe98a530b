"""How α should go with the rank."""

from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from minituner.foundation.errors import UserError
from minituner.reporting.style import GREY
from studies.results import Row, Scores, family, shown, significant
from studies.variants import CONVENTIONS, SCALES, scaled_name

NAME, TITLE = "conventions", "Which α lets one learning rate serve every rank?"
TITLES = {"fixed": "α fixed, scale α/r", "proportional": "α = 2r, scale 2"}
TITLES["root"] = "rsLoRA, scale ∝ 1/√r"


def runs(settings: dict[str, Any], convention: str, rank: int) -> dict[float, str]:
    """A convention's runs at a rank, by learning rate."""
    scale = SCALES[convention](settings["lora"]["alpha"], rank)
    rates = settings["science"]["convention_rates"][convention]
    return {rate: scaled_name(scale, rank, rate) for rate in sorted(rates)}


def answer(evidence: Any) -> tuple[list[Row], str]:
    """What each rank loses by the rate that is best for a convention's ranks together.

    Raises:
        UserError: if a best rate lies at an end of its grid.
    """
    scores: Scores = evidence.scores[CONVENTIONS]
    settings = evidence.settings
    ranks = sorted(settings["science"]["convention_ranks"])
    rows, losses, parts = [], [], {}
    for convention in SCALES:
        by_rank = {rank: runs(settings, convention, rank) for rank in ranks}
        best = {rank: evidence.best(CONVENTIONS, by_rank[rank]) for rank in ranks}
        rates = sorted(by_rank[ranks[0]])
        for rank, rate in best.items():
            if rate in (rates[0], rates[-1]):
                raise UserError(
                    f"science.convention_rates.{convention}: the best rate at r = {rank} is "
                    f"{rate:g}, at an end of the list; add rates beyond it"
                )
        common = max(
            rates,
            key=lambda rate: sum(
                evidence.on_validation(CONVENTIONS, by_rank[r][rate]) for r in ranks
            ),
        )
        of_convention = []
        for rank in ranks:
            item = f"{TITLES[convention]}, r={rank}, {best[rank]:g}"
            own, shared = by_rank[rank][best[rank]], by_rank[rank][common]
            rows.append(scores.row(NAME, item, "margin", own, at="drift"))
            if own != shared:
                item = f"{TITLES[convention]}, r={rank}, {common:g}"
                row = scores.row(NAME, item, "margin", shared, own, at="drift")
                of_convention.append(row | {"against": f"its best, {best[rank]:g}"})
        losses += of_convention
        parts[convention] = (best, common, of_convention)
    family(losses)
    sentences = []
    for convention, (best, common, lost) in parts.items():
        each = ", ".join(f"{rate:g} at r = {rank}" for rank, rate in best.items())
        cost = "is best for each"
        if lost:
            worst = min(lost, key=lambda row: row["value"])
            cost = f"costs {worst['item'].split(', ')[-2]} the most, {shown(worst)}"
            cost += "" if significant(worst) else ", not significantly"
        spread = max(best.values()) / min(best.values())
        sentences.append(
            f"{TITLES[convention]}: the best rates are {each}, a factor of {spread:g} apart; "
            f"{common:g} for all {cost}."
        )
    level = settings["science"]["drift"]
    lead = (
        f"Best is the largest margin on validation where the control's drift first reaches "
        f"{100 * level:g} %, or at the end of training if it stays below."
    )
    return rows + losses, " ".join([lead, *sentences])


def draw(figure: Figure, evidence: Any, table: Any) -> None:
    """Margin at equal drift against the rate, a line a rank, a panel a convention."""
    ranks = sorted(evidence.settings["science"]["convention_ranks"])
    shades = matplotlib.colormaps["viridis"]
    for axes, convention in zip(figure.subplots(1, 3, sharey=True), SCALES, strict=True):
        for i, rank in enumerate(ranks):
            by_rate = runs(evidence.settings, convention, rank)
            margins = [evidence.on_validation(CONVENTIONS, run) for run in by_rate.values()]
            color = shades(0.85 * i / max(1, len(ranks) - 1))
            axes.plot(list(by_rate), margins, "o-", color=color, label=f"r = {rank}")
            top = margins.index(max(margins))
            axes.plot(
                [list(by_rate)[top]], [margins[top]], "o", color=color, markersize=11, alpha=0.4
            )
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(list(by_rate), [f"{rate:g}" for rate in by_rate], rotation=45)
        axes.set_title(TITLES[convention], loc="left", fontsize=10)
        axes.set_xlabel("learning rate (large: the rank's best)", color=GREY)
    figure.axes[0].set_ylabel("margin on validation at equal drift, nats")
    figure.axes[0].legend()
