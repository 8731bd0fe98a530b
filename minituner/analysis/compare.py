"""Two runs against each other: every metric, with the difference's interval; then verb by verb."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from minituner.analysis.bootstrap import ends, over_seeds, pair_weights, resampled
from minituner.analysis.metrics import METRICS, read_run
from minituner.analysis.wording import NATS, SHARE, SHARES, Format
from minituner.foundation import progress
from minituner.foundation.errors import UserError
from minituner.foundation.numerics import weighted_sums

Tables = list[pd.DataFrame]  # of one side, a table a seed


class Difference(NamedTuple):
    """A metric of both sides, and the second minus the first with its interval."""

    metric: str
    one: float
    other: float
    value: float
    low: float
    high: float


class VerbDifference(NamedTuple):
    """A verb's accuracy and margin on both sides, and the difference of margins."""

    verb: str
    set: str
    accuracy_one: float
    accuracy_other: float
    margin_one: float
    margin_other: float
    value: float
    low: float
    high: float


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


def differences(one: Tables, other: Tables, settings: dict[str, Any]) -> list[Difference]:
    """Every metric on test; both sides see the same resampled pairs."""
    tables = {f"one {i}": t for i, t in enumerate(one)}
    tables |= {f"other {i}": t for i, t in enumerate(other)}
    rows = []
    for metric in progress.bar(METRICS, "resampling", "metrics"):
        values = resampled(tables, metric, "test", settings)
        if not values:
            continue
        first, second = (
            over_seeds([v for n, v in values.items() if n.startswith(side)], side, settings)
            for side in ("one", "other")
        )
        moved = second - first
        rows.append(Difference(metric, first[0], second[0], moved[0], *ends(moved[1:], settings)))
    return rows


def verb_differences(one: Tables, other: Tables, settings: dict[str, Any]) -> list[VerbDifference]:
    """Every verb on test, the irregular ones first, by how far their margins moved.

    Intervals are over pairs; a verb's margins are averaged over seeds first.
    """

    def pooled(tables: Tables) -> pd.DataFrame:
        table = pd.concat(tables)
        shown = table["irregular"] | table["control"]
        table = table[(table["split"] == "test") & shown & table["margin"].notna()]
        keys = ["set", "verb_lemma", "pair"]
        return table.astype({"chosen": float}).groupby(keys)[["chosen", "margin"]].mean()

    both = pooled(one).merge(
        pooled(other), left_index=True, right_index=True, suffixes=("_1", "_2")
    )
    rows = []
    for (group, verb), cell in both.groupby(level=[0, 1], sort=True):
        moved = (cell["margin_2"] - cell["margin_1"]).to_numpy()
        n = len(moved)
        means = weighted_sums(pair_weights(n, settings, "compare", verb), moved[None])[0] / n
        levels = cell[["chosen_1", "chosen_2", "margin_1", "margin_2"]].mean()
        rows.append(VerbDifference(verb, group, *levels, moved.mean(), *ends(means, settings)))
    return sorted(rows, key=lambda row: (row.set == "control", row.value))


def compare(settings: dict[str, Any], names: list[str], results: Path) -> str:
    """The text of `minituner compare ONE OTHER`.

    Args:
        settings: the section `evaluate`.
        names: the two sides, see `members`.
        results: where their evaluations are.

    Raises:
        UserError: if the two were scored on different sentences.
    """
    one, other = ([read_run(path) for path in members(n, results).values()] for n in names)
    for name, side in zip(names, (one, other), strict=True):
        if not all(table["id"].equals(one[0]["id"]) for table in side):
            raise UserError(
                f"compare: {name}: scored on other sentences than {names[0]}; evaluate both on the "
                "same subsets"
            )
    wide = max(8, *map(len, names))
    lines = [
        f"{names[1]} against {names[0]}, on test; differences with "
        f"{settings['confidence']:.0%} intervals, * where they leave out zero",
        "",
        f"{'':18}{names[0]:>{wide}}  {names[1]:>{wide}}  difference",
    ]
    for row in differences(one, other, settings):
        level = SHARE if row.metric in SHARES else Format(4)
        values = "  ".join(f"{level.value(x):>{wide}}" for x in (row.one, row.other))
        change = level._replace(unit="", sign="+").interval(row._asdict())
        lines.append(f"{row.metric:18}{values}  {change}{_star(row)}")
    lines += ["", "log-odds margin by verb, nats; in brackets how often the form is preferred", ""]
    for row in verb_differences(one, other, settings):
        lines.append(
            f"{row.verb:10}{row.set:10}{row.margin_one:+7.2f} ({row.accuracy_one:4.0%})  "
            f"{row.margin_other:+7.2f} ({row.accuracy_other:4.0%})  "
            f"{NATS.interval(row._asdict())}{_star(row)}"
        )
    return "\n".join(lines)


def _star(row: Difference | VerbDifference) -> str:
    return " *" if row.low > 0 or row.high < 0 else ""
