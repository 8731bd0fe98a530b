"""Lab 02's last steps: the learner's code tunes a real base, and must meet the course's bars."""

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import AxLine
from matplotlib.ticker import PercentFormatter

from minituner.labs.checking import Work, Wrong, same
from minituner.labs.trial import Outcome, bars, loaded, meets_bars, outcome

RANKS = (1, 4, 16)
MADE_UP = {  # rank → accuracy and drift
    "base": (0.1, 0.0),
    1: (0.8, 0.03),
    4: (0.9, 0.02),
    16: (0.95, 0.01),
    None: (0.98, 0.025),
}


def result(work: Work, rank: int | None) -> Outcome:
    """The learner's run at a rank."""
    return outcome(work.tuned(loaded().base, loaded().train, rank))


def rates(work: Work) -> None:
    """One rate for all adapters, and for full fine-tuning another, at which it learns and keeps."""
    peaks = {rank: work.peak_rate(rank) for rank in (*RANKS, None)}
    for rank, rate in peaks.items():
        if not isinstance(rate, int | float) or not rate > 0:
            raise Wrong("", f"peak_rate({rank}) is {rate!r:.40}, not a positive number")
    full, adapters = peaks.pop(None), set(peaks.values())
    if len(adapters) > 1:
        raise Wrong("rate changes with the rank")
    if full > max(adapters):
        raise Wrong("adapters' rate below full fine-tuning's")
    if full == max(adapters):
        raise Wrong("full fine-tuning at the adapters' rate")
    tuned = result(work, None)
    if tuned.drift > bars()["perplexity_drift"]:
        raise Wrong("", f"full fine-tuning drifts by {tuned.drift:+.1%}; lower its rate further")
    if tuned.gain < bars()["accuracy_gain"]:
        raise Wrong("full fine-tuning learns nothing", f"({tuned})")


def curves(axes: Axes) -> Iterator[tuple[list[float], list[float]]]:
    """The x and the y of each line in a plot, and of each that `hlines` drew."""
    for line in axes.get_lines():
        if isinstance(line, AxLine):
            (x, y), (to, height) = line.get_xy1(), line.get_xy2() or (None, None)
            to, height = (x + 1, y + line.get_slope()) if to is None else (to, height)
            yield [x, to], [y, height]
        else:
            yield list(line.get_xdata()), list(line.get_ydata())
    for collection in axes.collections:
        for segment in getattr(collection, "get_segments", list)():
            yield list(segment[:, 0]), list(segment[:, 1])


def plot_of(figure: Figure, what: int) -> Axes:
    """The plot of the accuracy, or for 1 of the drift, in percent, with all that belongs to it.

    Raises:
        Wrong: if there is none, or something is missing in it.
    """
    name, adapters = ("accuracy", "drift")[what], [MADE_UP[rank][what] for rank in RANKS]
    for axes in figure.axes:
        formatter: Any = axes.yaxis.get_major_formatter()
        # PercentFormatter writes 100 % where the data are its xmax.
        whole = formatter.xmax if isinstance(formatter, PercentFormatter) else 100
        drawn = [([y / whole for y in ys], xs) for xs, ys in curves(axes)]
        over_ranks = [ys for ys, xs in drawn if xs == list(RANKS)]
        if any(same(ys, adapters) for ys in over_ranks):
            break
        if any(same(ys, [share / whole for share in adapters]) for ys in over_ranks):
            raise Wrong("percent forgotten")
        if any(same(ys, adapters) for ys, _ in drawn):
            raise Wrong("ranks not on the axis")
    else:
        raise Wrong("a plot is missing", f"(none has the {name} as a line over the ranks)")
    if axes.get_xscale() != "log":
        raise Wrong("ranks not on a logarithmic scale")
    level = [ys for ys, _ in drawn if len(ys) > 1 and same(ys, len(ys) * ys[:1])]
    if not level:
        raise Wrong("full fine-tuning not drawn")
    if not any(same(ys[0], MADE_UP[None][what]) for ys in level):
        heights = " and ".join(f"{100 * ys[0]:.4g} %" for ys in level)
        right = f"{100 * MADE_UP[None][what]:.4g} %"
        said = f"(a level line at {heights} where its {name} is {right})"
        raise Wrong("full fine-tuning at another height", said)
    if not (axes.get_xlabel() or figure.get_supxlabel()) or not axes.get_ylabel():
        raise Wrong("axes not labelled")
    return axes


def picture(work: Work) -> None:
    """Both plots, of results made up for it."""
    results = [{"rank": rank, "accuracy": a, "drift": d} for rank, (a, d) in MADE_UP.items()]
    figure = work.picture(results)
    if not isinstance(figure, Figure):
        raise Wrong("", f"picture gives {type(figure).__name__}, not a matplotlib Figure")
    if plot_of(figure, 0) is plot_of(figure, 1):
        raise Wrong("a plot is missing", "(one shows both)")


def sweep(work: Work) -> None:
    """The picture, and the bars."""
    picture(work)
    by_rank = {rank: result(work, rank) for rank in RANKS}
    # One that forgets nothing since it learnt nothing does not speak for the sweep.
    enough = bars()["accuracy_gain"]
    best = min(by_rank, key=lambda rank: (by_rank[rank].gain < enough, by_rank[rank].drift))
    meets_bars(by_rank[best], f"rank {best}, which forgets least")
