"""How often an interval holds the truth: evaluations drawn from a known one, then summarized.

A score is the sum of parts that differ between pairs of subject and time, between seeds, between
seeds within a pair, and between prompts, each normal with a spread like those measured here.
"""

import argparse
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from minituner.analysis.bootstrap import interval, over_seeds, resampled
from minituner.analysis.metrics import drift
from minituner.foundation import progress, storage
from minituner.foundation.seeds import generator
from minituner.reporting import markdown

PAIRS, PROMPTS, SEEDS = 69, 6, 5  # of the test: pairs, prompts a pair, seeds a rank
PAIR, SEED, BOTH, PROMPT = 0.8, 0.3, 0.3, 1.0  # standard deviations
SYMBOLS, NATS = 30, 32.0  # of a control sentence
SETTINGS = {"bootstrap": 400, "confidence": 0.95, "seed": 0}
REPETITIONS = 1000
ACCURACIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


def evaluations(draw: np.random.Generator, mean: float, spread: float) -> dict[str, pd.DataFrame]:
    """The base and `SEEDS` runs on the same pairs and prompts, whose scores have that mean."""
    by_pair = draw.normal(0, PAIR, (1, PAIRS, 1))
    by_seed = draw.normal(0, SEED, (SEEDS, 1, 1))
    by_both = draw.normal(0, BOTH, (SEEDS, PAIRS, 1))
    by_prompt = draw.normal(0, PROMPT, (1, PAIRS, PROMPTS))
    scores = mean + spread * (by_pair + by_seed + by_both + by_prompt)
    nats = NATS + draw.normal(0, 3, (PAIRS, PROMPTS))
    fixed = {
        "pair": np.repeat([f"{i:03}" for i in range(PAIRS)], PROMPTS),
        "split": "test",
        "one": 1.0,
        "irregular": True,
        "control": True,
        "sentence_symbols": SYMBOLS,
    }
    runs = {"base": np.zeros((PAIRS, PROMPTS))} | {f"s{i}": row for i, row in enumerate(scores)}
    return {
        name: pd.DataFrame(
            fixed
            | {"margin": row.ravel(), "chosen": (row > 0).ravel()}
            | {"sentence_nats": (nats + row).ravel()}
        )
        for name, row in runs.items()
    }


def measured(kind: str, runs: dict[str, pd.DataFrame], name: str) -> tuple[float, float]:
    """The interval of one kind of figure, as `summary` makes it."""
    metric = "perplexity" if kind == "drift" else kind
    values = resampled(runs, metric, "test", SETTINGS)
    base = values.pop("base")
    rows = [drift(row, base) if kind == "drift" else row for row in values.values()]
    return interval(over_seeds(rows, name, SETTINGS), metric, SETTINGS, PAIRS * PROMPTS)


def coverage(kind: str, truth: float, repetitions: int = REPETITIONS) -> tuple[float, float]:
    """The share of intervals that hold the truth, and their mean width."""
    whole = (PAIR**2 + SEED**2 + BOTH**2 + PROMPT**2) ** 0.5
    mean, spread = truth, 1.0
    if kind == "accuracy":
        mean = NormalDist().inv_cdf(truth) * whole
    elif kind == "drift":
        mean, spread = SYMBOLS * np.log1p(truth), 0.3
    draw = generator(0, "coverage", kind, truth)
    held, width = 0, 0.0
    for i in range(repetitions):
        low, high = measured(kind, evaluations(draw, mean, spread), f"{kind} {truth} {i}")
        held += low <= truth <= high
        width += high - low
    return held / repetitions, width / repetitions


def page() -> str:
    """The table for people."""
    kinds = [("margin", 2.0), ("drift", 0.01)] + [("accuracy", truth) for truth in ACCURACIES]
    rows = []
    for kind, truth in progress.bar(kinds, "simulating", "figures"):
        share, width = coverage(kind, truth)
        shown = f"{truth:+.1f} nats" if kind == "margin" else f"{100 * truth:g} %"
        rows.append([kind, shown, f"{share:.1%}".replace("%", " %"), f"{width:.3f}"])
    text = (
        f"Made by `snakemake coverage`: evaluations drawn from a known truth, then summarized as "
        f"ours are, {REPETITIONS:,} times each, with {PAIRS} pairs of subject and time, {PROMPTS} "
        f"prompts a pair, {SEEDS} seeds and {SETTINGS['bootstrap']} resamples. Where 95 % is said, "
        f"{REPETITIONS:,} draws of an exact interval would give 93.6 to 96.4 %."
    )
    heading = ["figure", "truth", "intervals that hold it", "mean width"]
    lines = ["# Do the intervals cover?", "", text, "", *markdown.table(heading, rows, "lrrr")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulate how often intervals hold the truth.")
    parser.add_argument("--out", type=Path, required=True)
    storage.write_text(parser.parse_args().out, page())
