"""A published comparison of methods, and how far its size lets them be told apart.

The figures are cited, not measured here: huggingface/peft, method_comparison/MetaMathQA/results,
one run a method with seed 0, right answers to the whole test set of GSM8K. The same settings were
run three times, with the libraries of the day.
"""

import itertools

from benchmarks.telling_apart.variances import HALF
from minituner.analysis.wording import SHARE
from minituner.reporting import markdown

ITEMS = 1319
COMMITS = {"June 2025": "f650b08", "January 2026": "a999426", "July 2026": "51c2ff6"}
RIGHT = {
    "LoRA, r = 32": (636, 647, 631),
    "LoRA, r = 64": (645, 635, 625),
    "DoRA, r = 32": (634, 633, 619),
    "full fine-tuning": (660, 653, 622),
}


def half_width(*shares: float) -> float:
    """Of a 95 % interval for a share of `ITEMS`, or for the difference of two independent ones.

    A share p of n independent items has the variance p (1 − p) / n, the binomial distribution's.
    """
    return HALF * (sum(share * (1 - share) for share in shares) / ITEMS) ** 0.5


def section() -> list[str]:
    """The part of the page."""
    latest = list(COMMITS)[-1]
    shares = {name: [right / ITEMS for right in runs] for name, runs in RIGHT.items()}
    last = {name: runs[-1] for name, runs in shares.items()}
    couples = list(itertools.combinations(last, 2))
    told = [
        f"{one} from {other}"
        for one, other in couples
        if abs(last[one] - last[other]) > half_width(last[one], last[other])
    ]
    alone = max(map(half_width, last.values()))
    unpaired = max(half_width(last[one], last[other]) for one, other in couples)
    between_methods = max(last.values()) - min(last.values())
    between_runs = max(max(runs) - min(runs) for runs in shares.values())
    commits = ", ".join(f"{commit} ({when})" for when, commit in COMMITS.items())
    rows = [
        [name, *map(SHARE.value, runs), f"± {points(half_width(runs[-1]))}"]
        for name, runs in shares.items()
    ]
    return [
        "## The size of a published comparison",
        "",
        f"PEFT's `method_comparison` scores one run a method, of seed 0, on {ITEMS:,} test items. "
        "The accuracies are cited from its repository, `method_comparison/MetaMathQA/results` at "
        f"the commits {commits}; the settings of the three are the same, the libraries newer each "
        "time. The interval is worked out here, by the binomial distribution's p (1 − p) / n.",
        "",
        *markdown.table(["method", *COMMITS, f"interval of {latest}, points"], rows, "lrrrr"),
        "",
        f"So one of these accuracies is known to ± {points(alone)} points, and the difference of "
        f"two, unpaired, to ± {points(unpaired)}. In {latest} they differ by at most "
        f"{points(between_methods)} points, which tells {', '.join(told) or 'no two of them'} "
        f"apart; from one run to another the same method moved by up to {points(between_runs)}. "
        "The items are the same for all methods, so their single answers would give a narrower, "
        "paired interval; what another seed would change, one run cannot say.",
        "",
    ]


def points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * share:.1f}"
