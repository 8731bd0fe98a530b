"""The tables and sentences of docs/telling_apart.md."""

from benchmarks.telling_apart import published
from benchmarks.telling_apart.measured import FIGURES, Figure, Measured
from benchmarks.telling_apart.variances import (
    CONFIDENCE,
    FOUND,
    HALF,
    POWER,
    Spread,
    mean,
    together,
)
from minituner.analysis.wording import SHARE
from minituner.reporting import markdown

ITEMS, SEEDS = (100, 400, published.ITEMS, 10_000), (1, 3, 5, 10)
USUAL = (400, 5)  # items and seeds of the examples
WHOLE = SHARE._replace(digits=0)


def page(measured: dict[str, Measured]) -> str:
    """The whole page."""
    lines = ["# What it takes to tell one point apart", "", opening(measured["accuracy"]), ""]
    lines += ["## Where scores differ", "", PARTS, ""]
    for name, figure in FIGURES.items():
        lines += [f"Of {name}:", "", *parts_table(measured[name], figure), ""]
    lines += [limits(measured), "", "## How wide an interval is", "", WIDTHS, ""]
    for name, figure in FIGURES.items():
        lines += [f"Of {name}, ± {figure.unit}:", "", *widths_table(measured[name], figure), ""]
    lines += ["![half width against items, unpaired and paired](telling_apart.png)", ""]
    lines += [gain(measured), "", "## How many are enough", "", FEWEST, ""]
    for name, figure in FIGURES.items():
        table = fewest_table(measured[name], figure)
        lines += [f"To tell {figure.apart_in_words} of {name}:", "", *table, ""]
    lines += [*published.section(), "## Advice", "", *advice(measured["accuracy"])]
    return "\n".join(lines) + "\n"


def opening(measured: Measured) -> str:
    """What the page asks, and of which runs."""
    seeds, prompts = next(iter(measured.scores.values())).shape
    return (
        "How many test items and how many seeds does a comparison of two fine-tuning methods need? "
        "Made by `snakemake telling_apart`, sentences included, from the evaluations of LoRA at "
        f"ranks {', '.join(map(str, measured.scores))}, {seeds} seeds each, on the test's "
        f"{prompts} prompts in {len(set(measured.pairs))} pairs of subject and time, of which "
        f"{together(measured.pairs):.1f} prompts share one on average."
    )


PARTS = (
    "A score is a mean plus five parts that differ independently of one another: between pairs, "
    "between the prompts of a pair, between seeds, between seeds within a pair (seed × pair), and "
    "a rest, between seeds within a prompt. The difference of two ranks, taken prompt by prompt "
    "and seed by seed, has the same five parts; what both ranks share is no longer in them. The "
    "variance of each is estimated by an analysis of variance, whose equations stand in "
    "[`components`](../benchmarks/telling_apart/variances.py)."
)


def parts_table(measured: Measured, figure: Figure) -> list[str]:
    """The variance of each part, for the lowest and the highest rank and on average."""
    low, high = min(measured.ranks), max(measured.ranks)
    ranks, differences = measured.ranks, measured.differences
    shown = {
        f"r = {low}": ranks[low],
        f"r = {high}": ranks[high],
        f"mean of the {len(ranks)} ranks": mean(ranks.values()),
        f"r = {high} less r = {low}": differences[low, high],
        f"mean of the {len(differences)} differences": mean(differences.values()),
    }
    square = figure.factor**2
    rows = [[name, *(f"{square * part:.3f}" for part in parts)] for name, parts in shown.items()]
    heading = [f"{figure.unit}²", "pair", "prompt", "seed", "seed × pair", "rest"]
    return markdown.table(heading, rows, "lrrrrr")


def limits(measured: dict[str, Measured]) -> str:
    """What the variances are good for."""
    own, square = measured["accuracy"], FIGURES["accuracy"].factor ** 2
    share = sum(scores.mean() for scores in own.scores.values()) / len(own.scores)
    lowest, *_, highest = own.seed_without_each()
    return (
        "An estimate may be negative where the true variance is near zero, or where the prompts of "
        "a pair, being of different verbs, differ more than the pairs do. A few seeds tell little "
        "about seeds, so below only the means over ranks and over differences count; even so, with "
        "one of the seeds left out, the differences' seed part of accuracy lies between "
        f"{square * lowest:.3f} and {square * highest:.3f} points². And the variances belong to "
        f"the mean accuracy here, {SHARE.value(share)}: the variance of a single answer is p (1 − "
        f"p), {0.25 / (share * (1 - share)):.1f} times as much at 50 %."
    )


WIDTHS = (
    f"Half the width of a {WHOLE.value(CONFIDENCE)} interval of the difference of "
    "two ranks: unpaired, if each has items and seeds of its own; paired, if both are scored on "
    "the same items and tuned with the same seeds. With m items, as many to a pair as here, and S "
    "seeds, the variance is (t pair + prompt) / m + seed / S + (t seed × pair + rest) / m S, where "
    "t is the number of prompts that share a pair. The variances are taken as known: who has to "
    "estimate them from a few seeds has a wider interval, and from one seed cannot. Bold is what "
    "is narrow enough to tell "
    + " or ".join(f"{figure.apart_in_words} of {name}" for name, figure in FIGURES.items())
    + "."
)


def widths_table(measured: Measured, figure: Figure) -> list[str]:
    """Half widths by items, seeds and pairing; bold where the interval is narrow enough."""

    def cell(how: Spread, items: int, seeds: int) -> str:
        width = how.half_width(items, seeds)
        shown = figure.number(width)
        return f"**{shown}**" if width <= figure.apart else shown

    designs = {"unpaired": measured.unpaired(), "paired": measured.paired()}
    heading = ["items"] + [f"{name}, {counted(n, 'seed')}" for name in designs for n in SEEDS]
    rows = [
        [f"{items:,}", *(cell(how, items, n) for how in designs.values() for n in SEEDS)]
        for items in ITEMS
    ]
    return markdown.table(heading, rows, "r" * len(heading))


def gain(measured: dict[str, Measured]) -> str:
    """What pairing takes away, and how much it depends on which two ranks are compared."""
    items, seeds = USUAL
    taken, ranks = [], sorted(measured["accuracy"].ranks)
    known: dict[tuple[int, int], list[str]] = {(ranks[0], ranks[1]): [], (ranks[-2], ranks[-1]): []}
    for name, own in measured.items():
        away = [
            WHOLE.value(max(0.0, 1 - part / whole) if whole else 0.0)
            for part, whole in zip(own.paired(), own.unpaired(), strict=True)
        ]
        taken.append(f"of {name} {away[0]}, {away[1]} and {away[2]}")
        figure = FIGURES[name]
        for two, widths in known.items():
            width = own.paired(two).half_width(items, seeds)
            widths.append(f"± {figure.number(width)} {figure.unit}")
    ends = ", that ".join(
        f"of r = {low} and r = {high} has {' and '.join(widths)}"
        for (low, high), widths in known.items()
    )
    return (
        "Pairing takes away, of the variance that items add, that seeds add, and that seeds add "
        f"within items: {'; '.join(taken)}. Which two are compared matters as well: with {items} "
        f"items and {counted(seeds, 'seed')}, paired, the difference {ends}."
    )


FEWEST = (
    "The fewest items for a number of seeds, and the fewest seeds for a number of items. In the "
    "columns ± the interval's half width equals the difference; a true difference of just that "
    "size is then found in half of all tries. To find it in "
    f"{WHOLE.value(POWER)} of all tries the variance must be "
    f"{(FOUND / HALF) ** 2:.1f} times smaller: the columns “found”. None: no number is enough."
)


def fewest_table(measured: Measured, figure: Figure) -> list[str]:
    """The fewest items for some seeds and the fewest seeds for some items."""
    ways = [
        (how, figure.apart / distance)
        for how in (measured.unpaired(), measured.paired())
        for distance in (HALF, FOUND)
    ]
    rows = [
        [counted(n, "seed"), *(counted(how.fewest_items(n, error), "item") for how, error in ways)]
        for n in SEEDS
    ]
    rows += [
        [counted(n, "item"), *(counted(how.fewest_seeds(n, error), "seed") for how, error in ways)]
        for n in ITEMS
    ]
    heading = [f"{name}, {what}" for name in ("unpaired", "paired") for what in ("±", "found")]
    return markdown.table(["with", *heading], rows, "lrrrr")


def advice(measured: Measured) -> list[str]:
    """Three sentences."""
    figure, (items, seeds) = FIGURES["accuracy"], USUAL
    unpaired, paired = measured.unpaired(), measured.paired()
    apart, same = (figure.number(how.half_width(items, seeds)) for how in (unpaired, paired))
    few, many = SEEDS[0], SEEDS[-1]
    needed = {n: paired.fewest_items(n, figure.apart / FOUND) for n in (few, many)}
    takes = [
        f"{counted(n, 'item') if n else 'more than any number of items'} with {counted(s, 'seed')}"
        for s, n in needed.items()
    ]
    return [
        f"1. Score both methods on the same items: with {items} of them and "
        f"{counted(seeds, 'seed')}, a difference is then known to ± {same} points instead of "
        f"± {apart}.",
        f"2. Tune with several seeds: to find a difference of {figure.apart_in_words} in "
        f"{WHOLE.value(POWER)} of all tries takes, paired, {' and '.join(takes)}.",
        "3. Give every difference with its interval, and where that contains zero say that there "
        "is no significant difference.",
    ]


def counted(number: int | None, what: str) -> str:
    """5 → 5 seeds."""
    return "none" if number is None else f"{number:,} {what}{'s' * (number != 1)}"
