"""The parts of a score's variance, and what a comparison of a given size makes of them.

A score of one run (a seed) on one prompt is the sum of a mean and five independent parts:

    y_spk = mean + pair_p + prompt_pk + seed_s + seed×pair_sp + rest_spk

Prompts lie within pairs of subject and time, and every seed is scored on every prompt, so that
seeds are crossed with both.
"""

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

CONFIDENCE, POWER = 0.95, 0.8
HALF = NormalDist().inv_cdf(
    (1 + CONFIDENCE) / 2
)  # standard errors from a mean to its interval's end
# … between zero and a difference that such an interval leaves zero out of in `POWER` of all tries.
FOUND = HALF + NormalDist().inv_cdf(POWER)


class Components(NamedTuple):
    """The variance of each part, in the score's unit squared; an estimate may be negative."""

    pair: float
    prompt: float
    seed: float
    seed_pair: float
    rest: float


class Spread(NamedTuple):
    """The variance of a mean over m items and S seeds: items/m + seeds/S + both/(m S)."""

    items: float
    seeds: float
    both: float

    def half_width(self, items: int, seeds: int) -> float:
        """Of the 95 % interval, as if the variances were known."""
        variance = self.items / items + self.seeds / seeds + self.both / (items * seeds)
        return HALF * math.sqrt(variance)

    def fewest_items(self, seeds: int, error: float) -> int | None:
        """How many items bring the standard error down to `error`; None if no number does."""
        return _fewest(error**2 - self.seeds / seeds, self.items + self.both / seeds)

    def fewest_seeds(self, items: int, error: float) -> int | None:
        """How many seeds bring the standard error down to `error`; None if no number does."""
        return _fewest(error**2 - self.items / items, self.seeds + self.both / items)


def _fewest(left: float, once: float) -> int | None:
    """The least n, 1 or more, with once / n ≤ left."""
    return max(1, math.ceil(once / left)) if left > 0 else None


def together(pairs: np.ndarray) -> float:
    """With how many prompts a prompt shares its pair on average, itself included: Σ n_p² / N."""
    counts = np.unique(pairs, return_counts=True)[1]
    return float((counts**2).sum() / counts.sum())


def components(scores: np.ndarray, pairs: np.ndarray) -> Components:
    """Estimate the variances by an analysis of variance.

    With S seeds, P pairs of n_p prompts each, N prompts in all, a dot for the mean over an index,
    t = Σ n_p² / N and n = (N − t) / (P − 1), the mean squares and what each is expected to be are

        prompt     S Σ (y.pk − y.p.)² / (N − P)                                  rest + S prompt
        pair       S Σ n_p (y.p. − y...)² / (P − 1)                              rest + S prompt
                                                                   + n seed×pair + S n pair
        seed       N Σ (y_s.. − y...)² / (S − 1)              rest + t seed×pair + N seed
        seed×pair  Σ n_p (y_sp. − y_s.. − y.p. + y...)² / (S − 1)(P − 1)    rest + n seed×pair
        rest       Σ (y_spk − y_sp. − y.pk + y.p.)² / (S − 1)(N − P)        rest

    The estimates solve these five equations; they are right on average, and may be negative. The
    source is Searle, Casella & McCulloch (1992), Variance Components, chapters 4 and 5.

    Args:
        scores: (S, N) of at least two seeds.
        pairs: (N,) the name of each prompt's pair, at least two of which have several prompts.
    """
    seeds, prompts = scores.shape
    _, codes, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    shared, free = together(pairs), len(counts) - 1
    per_pair = (prompts - shared) / free

    of_prompt, of_seed, of_all = scores.mean(axis=0), scores.mean(axis=1), scores.mean()
    of_both = np.stack([np.bincount(codes, row) / counts for row in scores])  # (S, P)
    of_pair = of_both.mean(axis=0)

    within = of_prompt - of_pair[codes]
    moved = of_both - of_seed[:, None] - of_pair + of_all
    left = scores - of_both[:, codes] - within
    prompt = seeds * (within**2).sum() / (prompts - free - 1)
    pair = seeds * (counts * (of_pair - of_all) ** 2).sum() / free
    seed = prompts * ((of_seed - of_all) ** 2).sum() / (seeds - 1)
    both = (counts * moved**2).sum() / (seeds - 1) / free
    rest = (left**2).sum() / (seeds - 1) / (prompts - free - 1)

    seed_pair = (both - rest) / per_pair
    return Components(
        pair=(pair - prompt - per_pair * seed_pair) / (seeds * per_pair),
        prompt=(prompt - rest) / seeds,
        seed=(seed - rest - shared * seed_pair) / prompts,
        seed_pair=seed_pair,
        rest=rest,
    )


def mean(estimates: Iterable[Components]) -> Components:
    """The mean of some estimates, part by part."""
    return Components(*np.mean(list(estimates), axis=0).tolist())


def spread(parts: Components, shared: float, copies: int = 1) -> Spread:
    """What a comparison of any size makes of the parts, whose pairs are as full as here.

    Negative estimates are added up as they are, which keeps the sums right on average; a sum below
    zero counts as zero.

    Args:
        parts: of one method, or of the difference of two on the same items and seeds.
        shared: see `together`.
        copies: 2 for the difference of two methods that have items and seeds of their own.
    """
    items = shared * parts.pair + parts.prompt
    both = shared * parts.seed_pair + parts.rest
    return Spread(*(copies * max(part, 0.0) for part in (items, parts.seed, both)))
