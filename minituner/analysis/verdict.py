"""The Definition of Done: choose one adapter on validation, judge it on test.

The adapter is chosen by a rule that never looks at the test split: among the single adapters whose
file is small enough and which, on validation, gain enough and forget little enough at the
pessimistic ends of their intervals, the one with the largest log-odds margin. Criteria 1 and 2 are
then held, on test, against the pessimistic end both of that adapter's own interval (over pairs)
and of its rank's (over pairs and seeds).
"""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from minituner.analysis.summary import lookup
from minituner.analysis.trained import comparison as trained_qlora
from minituner.analysis.wording import DRIFT, GAIN, LEVELS, Format
from minituner.checkpoints.runs import parse_run
from minituner.foundation import storage

SOURCE_KEY = "minituner-summary-sha256"  # what a figure says of the summary it was drawn from
NAMES = ("accuracy", "drift", "plot", "qlora", "size")  # of the criteria, in their order
# Metrics that are shown beside the criteria and judge nothing: what each is about.
BESIDE = {
    "accuracy": "irregular accuracy on the test: new pairs of subject and time",
    "seen_accuracy": "… on prompts that tuning saw, so not a test",
    "subject_accuracy": "… on new pairs, of subjects that tuning never saw",
    "cell_accuracy": "… on new pairs, in verbs and tenses that tuning never saw",
    "tenses_accuracy": "… on new pairs, in the tenses that are not tuned",
    "control_accuracy": "regular verbs' pasts right",
    "form_perplexity_drift": "drift of the perplexity of the regular verbs' forms alone",
}
Criterion = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Plot:
    """A picture as it was found."""

    name: str
    size: tuple[int, int] | None  # None: missing or broken
    drawn_from: str | None  # hash of a summary
    current: bool  # whether that is this run's


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that is judged.

    Attributes:
        summary: see `summary.summary_table`.
        agreement: one row a pair of models, see `minituner agreement`.
        memory: one row a regime, measured.
        base_bytes: of the base's file.
        adapter_bytes: of each candidate's files, by run name.
        plot: the rank ablation.
    """

    summary: pd.DataFrame
    agreement: pd.DataFrame
    memory: pd.DataFrame
    base_bytes: int
    adapter_bytes: dict[str, int]
    plot: Plot

    def ratio(self, run: str) -> float:
        """Adapter bytes ÷ base bytes."""
        return self.adapter_bytes[run] / self.base_bytes


def look_at(plot: Path, evaluated: Path) -> Plot:
    """The picture, and whether it was drawn from the summary in `evaluated`."""
    try:
        with Image.open(storage.reading(plot)) as image:
            image.load()
            drawn_from, size = image.info.get(SOURCE_KEY), image.size
    except (OSError, SyntaxError):
        drawn_from, size = None, None
    return Plot(plot.name, size, drawn_from, drawn_from == storage.sha256(evaluated))


def choose(summary: pd.DataFrame, ratios: dict[str, float], bars: dict[str, Any]) -> dict[str, Any]:
    """The adapter to judge, by the rule above.

    Args:
        summary: see `summary.summary_table`.
        ratios: adapter bytes ÷ base bytes by run name; the candidates.
        bars: the section `definition_of_done`.

    Returns:
        Its run name, how many were eligible, and why it was taken.
    """

    def on_validation(run: str, metric: str) -> pd.Series:
        return lookup(summary, run, metric, "val")

    eligible = [
        run
        for run, ratio in ratios.items()
        if ratio < bars["adapter_ratio"]
        and on_validation(run, "accuracy_gain")["low"] >= bars["accuracy_gain"]
        and on_validation(run, "perplexity_drift")["high"] <= bars["perplexity_drift"]
    ]
    if eligible:
        chosen = max(eligible, key=lambda run: on_validation(run, "margin")["value"])
        reason = "the largest margin on validation among the eligible"
    else:
        chosen = min(ratios, key=lambda run: on_validation(run, "perplexity_drift")["value"])
        reason = "none is eligible, so the one that forgets least on validation"
    return {"adapter": chosen, "eligible": len(eligible), "of": len(ratios), "reason": reason}


def _rows(summary: pd.DataFrame, run: str, metric: str) -> dict[str, pd.Series]:
    """A metric on test of the adapter and of its rank over all seeds."""
    units = {"adapter": run, "rank": parse_run(run)["group"]}
    return {label: lookup(summary, unit, metric) for label, unit in units.items()}


def _measured(rows: dict[str, pd.Series], form: Format) -> dict[str, Any]:
    adapter, rank = rows["adapter"], rows["rank"]
    over = f"over {rank['seeds']} seeds {form.interval_with_units(rank)}"
    return {
        "measured": f"{form.interval_with_units(adapter)}; {over}",
        "values": {
            label: {key: float(row[key]) for key in ("value", "low", "high")}
            for label, row in rows.items()
        },
    }


def _accuracy(evidence: Evidence, run: str, bar: float) -> Criterion:
    """The gain, against the pessimistic end of the adapter's and of its rank's interval."""
    rows = _rows(evidence.summary, run, "accuracy_gain")
    met = all(row["low"] >= bar for row in rows.values())
    return _criterion(
        "1 irregular accuracy over the base", f"at least {GAIN.value(bar)}", met,
        **_measured(rows, GAIN),
    )  # fmt: skip


def _drift(evidence: Evidence, run: str, bar: float) -> Criterion:
    """What is forgotten, against the same ends."""
    rows = _rows(evidence.summary, run, "perplexity_drift")
    met = all(row["high"] <= bar for row in rows.values())
    return _criterion(
        "2 control perplexity drift", f"at most {DRIFT.value(bar)}", met, **_measured(rows, DRIFT)
    )


def _plot(plot: Plot) -> Criterion:
    """The picture exists, opens, and was drawn from this run's own evaluation."""
    shown = f"{plot.size[0]} × {plot.size[1]} pixels" if plot.size else "missing or broken"
    return _criterion(
        "3 rank-ablation plot",
        f"{plot.name} exists, drawn from this run's evaluation",
        bool(plot.size and plot.current),
        f"{shown}, drawn from {'this' if plot.current else 'another'} run",
        {"drawn_from": plot.drawn_from},
    )


def _qlora(evidence: Evidence, run: str, bar: float) -> Criterion:
    """QLoRA ran at the judged rank, its memory was measured, and it agrees with LoRA."""
    rank = parse_run(run)["rank"]
    name = "4 QLoRA agrees within the quantization error, memory measured"
    bar_text = f"logit difference at most {bar:g} × that of quantizing alone; less memory than LoRA"
    summary, memory = evidence.summary, evidence.memory
    moved = quantized(evidence.agreement)
    if f"qlora_r{rank}" not in set(summary["unit"]) or run not in moved:
        measured = f"no QLoRA run at rank {rank}; add it to sweep.qlora_ranks"
        return _criterion(name, bar_text, False, measured, {})
    ratio = moved[run] / moved["none"]
    saving = savings(memory, rank)["weights"]
    step = 1 - 1 / savings(memory, rank)["total"]
    accuracy = {m: lookup(summary, f"{m}_r{rank}", "accuracy") for m in ("lora", "qlora")}
    measured = (
        f"{ratio:.2f} × the quantization error; weights {saving:.2f} × smaller than in float32, "
        f"{saving / 2:.2f} × than in 16 bits, a whole step {100 * step:.1f} % smaller; "
        f"accuracy LoRA {accuracy['lora']['value']:.1%}, QLoRA {accuracy['qlora']['value']:.1%}"
    )
    values = {"agreement": float(ratio), "weights_saving": saving}
    return _criterion(name, bar_text, bool(ratio <= bar and saving > 1), measured, values)


def savings(memory: pd.DataFrame, rank: int) -> dict[str, float]:
    """How many times as many bytes LoRA's measured step holds as QLoRA's, by part."""
    held = memory[memory["rank"] == rank].set_index("method").filter(like="_bytes_measured")
    ratios = held.loc["lora"] / held.loc["qlora"]
    return {name.removesuffix("_bytes_measured"): float(x) for name, x in ratios.items()}


def quantized(agreement: pd.DataFrame) -> pd.Series:
    """How far quantizing moves the logits, by the adapter on both bases; `none`: without any."""
    rows = agreement[agreement["kind"] == "quantized"]
    return rows.set_index(rows["adapter"].fillna("none"))["mean_abs"]


def _size(evidence: Evidence, run: str, bar: float) -> Criterion:
    """The adapter's files against the base's, in the same precision."""
    ratio = evidence.ratio(run)
    return _criterion(
        "5 adapter file against base file",
        f"below {100 * bar:g} %",
        bool(ratio < bar),
        f"{100 * ratio:.2f} % of {evidence.base_bytes:,} bytes, both float32",
        {"ratio": ratio},
    )


def _criterion(name: str, bar: str, met: bool, measured: str, values: dict) -> Criterion:
    return {"criterion": name, "bar": bar, "measured": measured, "met": met, "values": values}


def judge(evidence: Evidence, bars: dict[str, Any]) -> dict[str, Any]:
    """The verdict: which adapter, whether every bar is met, and each criterion."""
    ratios = {run: evidence.ratio(run) for run in evidence.adapter_bytes}
    choice = choose(evidence.summary, ratios, bars)
    run = choice["adapter"]
    criteria = [
        _accuracy(evidence, run, bars["accuracy_gain"]),
        _drift(evidence, run, bars["perplexity_drift"]),
        _plot(evidence.plot),
        _qlora(evidence, run, bars["agreement"]),
        _size(evidence, run, bars["adapter_ratio"]),
    ]
    met = all(criterion["met"] for criterion in criteria)
    beside = _beside(evidence.summary, run)
    trained = trained_qlora(evidence.summary, evidence.agreement, parse_run(run)["rank"])
    return {
        "adapter": choice,
        "met": met,
        "criteria": criteria,
        "beside": beside,
        "trained": trained,
    }


def _beside(summary: pd.DataFrame, run: str) -> list[dict[str, str]]:
    """What else is measured of the base and of the adapter over its seeds; nothing of it judges."""
    test = summary[summary["split"] == "test"]
    measured = set(zip(test["unit"], test["metric"], strict=True))
    group = parse_run(run)["group"]

    def shown(unit: str, metric: str) -> str:
        return LEVELS[metric].interval(lookup(summary, unit, metric))

    return [
        {"what": what, "base": shown("base", metric), "tuned": shown(group, metric)}
        for metric, what in BESIDE.items()
        if {("base", metric), (group, metric)} <= measured
    ]


def by_name(verdict: dict[str, Any]) -> dict[str, Criterion]:
    """The criteria of a verdict by their short names, `NAMES`."""
    return dict(zip(NAMES, verdict["criteria"], strict=True))


def headline(verdict: dict[str, Any], summary: pd.DataFrame) -> dict[str, float]:
    """The judged figures, few enough for one row of `dvc metrics show` and `dvc exp show`."""
    criteria = by_name(verdict)
    gain, drift = criteria["accuracy"]["values"], criteria["drift"]["values"]
    return {
        "accuracy": float(lookup(summary, verdict["adapter"]["adapter"], "accuracy")["value"]),
        "accuracy_gain": gain["adapter"]["value"],
        "accuracy_gain_low": min(interval["low"] for interval in gain.values()),
        "perplexity_drift": drift["adapter"]["value"],
        "perplexity_drift_high": max(interval["high"] for interval in drift.values()),
        **criteria["qlora"]["values"],
        "adapter_ratio": criteria["size"]["values"]["ratio"],
        "criteria_met": sum(criterion["met"] for criterion in verdict["criteria"]),
    }
