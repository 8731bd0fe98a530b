"""Lab 02's last steps: the learner's code tunes a real base, and must meet the course's bars."""

from matplotlib.figure import Figure

from minituner.labs.checking import Work, Wrong
from minituner.labs.trial import Outcome, bars, loaded, meets_bars, outcome

RANKS = (1, 4, 16)


def result(work: Work, rank: int | None) -> Outcome:
    """The learner's run at a rank."""
    return outcome(work.tuned(loaded().base, loaded().train, rank))


def rates(work: Work) -> None:
    """Full fine-tuning at a rate of its own."""
    if work.peak_rate(None) >= work.peak_rate(1):
        raise Wrong("full fine-tuning at the adapters' rate")
    full = result(work, None)
    if full.drift > bars()["perplexity_drift"]:
        raise Wrong("", f"full fine-tuning drifts by {full.drift:+.1%}; lower its rate further")


def picture(work: Work) -> None:
    """Both plots, of results made up for it."""
    made_up = {
        "base": (0.1, 0.0),
        1: (0.8, 0.03),
        4: (0.9, 0.02),
        16: (0.95, 0.01),
        None: (1, 0.02),
    }
    results = [{"rank": rank, "accuracy": a, "drift": d} for rank, (a, d) in made_up.items()]
    figure = work.picture(results)
    if not isinstance(figure, Figure):
        raise Wrong("", f"picture gives {type(figure).__name__}, not a matplotlib Figure")
    lines = [list(line.get_xdata()) for axes in figure.axes for line in axes.get_lines()]
    if lines.count(list(RANKS)) < 2:
        raise Wrong("", "draw accuracy and drift as lines over the ranks, in rising order")
    if not all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes):
        raise Wrong("axes not labelled")


def sweep(work: Work) -> None:
    """The picture, and the bars."""
    picture(work)
    by_rank = {rank: result(work, rank) for rank in RANKS}
    best = min(by_rank, key=lambda rank: by_rank[rank].drift)
    meets_bars(by_rank[best], f"rank {best}, which forgets least")
