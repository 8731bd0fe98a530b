"""The variances of this experiment's own evaluations: of every rank, and of every two ranks."""

import itertools
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.telling_apart.variances import (
    Components,
    Spread,
    components,
    mean,
    spread,
    together,
)
from minituner.checkpoints.runs import parse_run
from minituner.foundation.errors import UserError


class Figure(NamedTuple):
    """What methods are compared by, how it is shown, and the difference that is to be told."""

    column: str  # of an evaluation
    factor: float  # to its unit
    unit: str
    digits: int
    apart: float
    apart_in_words: str

    def number(self, x: float) -> str:
        """In its unit, which is left out."""
        return f"{self.factor * x:.{self.digits}f}"


FIGURES = {
    "accuracy": Figure("chosen", 100, "points", 1, 0.01, "1 point"),
    "margin": Figure("margin", 1, "nats", 2, 0.1, "0.1 nats"),
}


class Measured(NamedTuple):
    """One figure's scores at every rank, and the variances of these and of their differences."""

    scores: dict[int, np.ndarray]  # rank → (seeds, prompts)
    pairs: np.ndarray  # (prompts,) the pair of each
    ranks: dict[int, Components]
    differences: dict[tuple[int, int], Components]

    def unpaired(self) -> Spread:
        """Of a difference of two ranks, each with items and seeds of its own."""
        return spread(mean(self.ranks.values()), together(self.pairs), copies=2)

    def paired(self, ranks: tuple[int, int] | None = None) -> Spread:
        """Of a difference on the same items with the same seeds: of any two ranks, or of these."""
        parts = self.differences[ranks] if ranks else mean(self.differences.values())
        return spread(parts, together(self.pairs))

    def seed_without_each(self) -> list[float]:
        """The differences' mean variance between seeds without each of these, from low to high."""
        seeds = len(next(iter(self.scores.values())))
        left_out = (
            measure({r: np.delete(s, i, axis=0) for r, s in self.scores.items()}, self.pairs)
            for i in range(seeds)
        )
        return sorted(mean(one.differences.values()).seed for one in left_out)


def measure(scores: dict[int, np.ndarray], pairs: np.ndarray) -> Measured:
    """The variances of each rank's scores, and of differences within prompt and seed.

    Args:
        scores: rank → (seeds, prompts), of the same seeds and prompts.
        pairs: (prompts,) the pair of each.
    """
    return Measured(
        scores,
        pairs,
        {rank: components(values, pairs) for rank, values in scores.items()},
        {
            (low, high): components(scores[high] - scores[low], pairs)
            for low, high in itertools.combinations(scores, 2)
        },
    )


def of_runs(runs: dict[str, pd.DataFrame]) -> dict[str, Measured]:
    """Each of `FIGURES` of LoRA's runs on the test.

    Args:
        runs: evaluations by run name, see `read_runs`.

    Raises:
        UserError: if there are not two ranks with the same three seeds or more, or the test has no
            pair of several prompts.
    """
    named: dict[int, dict[int, str]] = defaultdict(dict)
    for name in runs:
        fields = parse_run(name)
        if fields["method"] == "lora":
            named[fields["rank"]][fields["seed"]] = name
    seeds = {tuple(sorted(by_seed)) for by_seed in named.values()}
    # Three, since the seeds are also looked at with each left out.
    if len(named) < 2 or len(seeds) > 1 or len(min(seeds)) < 3:
        raise UserError(
            "telling_apart: needs LoRA runs of two ranks or more, all with the same three seeds or "
            "more; add to sweep.ranks or sweep.seeds in params.yaml"
        )
    base = runs["base"]
    rows = (base["irregular"] & (base["split"] == "test")).to_numpy()
    pairs = base.loc[rows, "pair"].to_numpy(dtype=str)
    if len(set(pairs)) in (1, len(pairs)):
        raise UserError(
            "telling_apart: the test has one pair, or one prompt a pair; raise subsets.test in "
            "params.yaml"
        )

    def scores(rank: int, column: str) -> np.ndarray:
        names = [named[rank][seed] for seed in sorted(named[rank])]
        return np.stack([runs[name].loc[rows, column].to_numpy(dtype=float) for name in names])

    return {
        name: measure({rank: scores(rank, figure.column) for rank in sorted(named)}, pairs)
        for name, figure in FIGURES.items()
    }
