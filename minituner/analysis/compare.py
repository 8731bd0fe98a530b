"""Two runs against each other: every metric, with the difference's interval; then verb by verb."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from minituner.analysis.summary import METRICS, over_seeds, read_run, resampled
from minituner.foundation import progress
from minituner.foundation.errors import UserError
from minituner.foundation.seeds import generator

PERCENT = {"accuracy", "exact_match", "probe_accuracy", "probe_exact_match", "control_accuracy"}


def members(name: str, results: Path) -> dict[str, Path]:
    """The evaluations that a name stands for: a file, a run, or a rank with all its seeds.

    Raises:
        UserError: if there is none; it lists the runs there are.
    """
    path = Path(name)
    if path.suffix == ".parquet":
        return {path.as_posix(): path}
    folder = results / "evaluate" / "runs"
    files = {file.stem: file for file in sorted(folder.glob("*.parquet"))}
    if not files:
        raise UserError(f"{folder}: no evaluation there; make it with `snakemake all`")
    if name in files:
        return {name: files[name]}
    seeds = {stem: file for stem, file in files.items() if stem.rpartition("_s")[0] == name}
    if not seeds:
        groups = dict.fromkeys(stem.rpartition("_s")[0] or stem for stem in files)
        raise UserError(
            f"compare: {name!r}: no such run; name a file, a run such as {next(iter(files))}, or "
            f"all seeds of one of {', '.join(groups)}"
        )
    return seeds


def metric_rows(one: list, other: list, settings: dict[str, Any]) -> list[tuple]:
    """(metric, one, other, difference, low, high) on test; both see the same resampled frames."""
    tables = {f"one {i}": t for i, t in enumerate(one)}
    tables |= {f"other {i}": t for i, t in enumerate(other)}
    tail = (1 - settings["confidence"]) / 2
    rows = []
    for metric in progress.bar(METRICS, "resampling", "metrics"):
        values = resampled(tables, metric, "test", settings)
        if not values:
            continue
        first, second = (
            over_seeds([v for n, v in values.items() if n.startswith(side)], side, settings)
            for side in ("one", "other")
        )
        difference = second - first
        low, high = np.quantile(difference[1:], [tail, 1 - tail])
        rows.append((metric, first[0], second[0], difference[0], low, high))
    return rows


def verb_rows(one: list, other: list, settings: dict[str, Any]) -> list[tuple]:
    """(verb, set, accuracy of both, margin of both, difference of margins, low, high) on test.

    Intervals are over frames; a verb's margins are averaged over seeds first.
    """

    def pooled(tables: list) -> pd.DataFrame:
        table = pd.concat(tables)
        table = table[(table["split"] == "test") & table["margin"].notna()]
        keys = ["set", "verb_lemma", "frame"]
        return table.astype({"chosen": float}).groupby(keys)[["chosen", "margin"]].mean()

    both = pooled(one).merge(
        pooled(other), left_index=True, right_index=True, suffixes=("_1", "_2")
    )
    tail = (1 - settings["confidence"]) / 2
    rows = []
    for (group, verb), cell in both.groupby(level=[0, 1], sort=True):
        difference = (cell["margin_2"] - cell["margin_1"]).to_numpy()
        n = len(difference)
        draw = generator(settings["seed"], "bootstrap", "compare", verb)
        weights = draw.multinomial(n, np.full(n, 1 / n), size=settings["bootstrap"])
        low, high = np.quantile(weights @ difference / n, [tail, 1 - tail])
        means = cell[["chosen_1", "chosen_2", "margin_1", "margin_2"]].mean()
        rows.append((verb, group, *means, difference.mean(), low, high))
    return sorted(rows, key=lambda row: (row[1] == "control", row[6]))


def compare(settings: dict[str, Any], names: list[str], results: Path) -> str:
    """The text of `minituner compare ONE OTHER`.

    Raises:
        UserError: if the two were scored on different sentences.
    """
    sides = []
    for name in names:
        tables = [read_run(path) for path in members(name, results).values()]
        sides.append(tables)
    one, other = sides
    for name, table in ((n, t) for n, side in zip(names, sides, strict=True) for t in side):
        if not table["id"].equals(one[0]["id"]):
            raise UserError(
                f"compare: {name}: scored on other sentences than {names[0]}; evaluate both on the "
                "same subsets"
            )
    options = settings["evaluate"]
    wide = max(8, *map(len, names))
    lines = [
        f"{names[1]} against {names[0]}, on test; differences with "
        f"{options['confidence']:.0%} intervals, * where they leave out zero",
        "",
        f"{'':18}{names[0]:>{wide}}  {names[1]:>{wide}}  difference",
    ]
    for metric, a, b, difference, low, high in metric_rows(one, other, options):
        times, unit, digits = (100, " %", 1) if metric in PERCENT else (1, "", 4)
        values = (f"{times * x:{wide - len(unit)}.{digits}f}{unit}" for x in (a, b))
        moved, *ends = (f"{times * x:+.{digits}f}" for x in (difference, low, high))
        star = " *" if low > 0 or high < 0 else ""
        lines.append(f"{metric:18}{'  '.join(values)}  {moved} [{', '.join(ends)}]{star}")
    lines += ["", "log-odds margin by verb, nats; in brackets how often the form is preferred", ""]
    for verb, group, c1, c2, m1, m2, difference, low, high in verb_rows(one, other, options):
        star = " *" if low > 0 or high < 0 else ""
        lines.append(
            f"{verb:10}{group:10}{m1:+7.2f} ({c1:4.0%})  {m2:+7.2f} ({c2:4.0%})  "
            f"{difference:+.2f} [{low:+.2f}, {high:+.2f}]{star}"
        )
    return "\n".join(lines)
