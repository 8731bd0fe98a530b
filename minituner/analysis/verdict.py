"""The Definition of Done: choose one adapter on validation, judge it on test, write the verdict.

The adapter is chosen by a rule that never looks at the test split: among the single adapters whose
file is small enough and which, on validation, gain enough and forget little enough at the
pessimistic ends of their intervals, the one with the largest log-odds margin. Criteria 1 and 2 are
then held, on test, against the pessimistic end both of that adapter's own interval (over frames)
and of its rank's (over frames and seeds).
"""

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from minituner.analysis.summary import lookup, parse_run
from minituner.checkpoints import checkpoint
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.reporting.figures import SOURCE_KEY


def _points(x: float) -> str:
    return f"{100 * x:+.1f} points"


def _percent(x: float) -> str:
    return f"{100 * x:+.2f} %"


def choose(summary: pd.DataFrame, ratios: dict[str, float], bars: dict[str, Any]) -> dict[str, Any]:
    """The adapter to judge, by the rule above.

    Args:
        summary: see `summarize.summary_table`.
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


def _interval_criterion(
    name: str, summary: pd.DataFrame, run: str, metric: str, bar: float, at_least: bool
) -> dict[str, Any]:
    """A criterion held against the pessimistic end of the adapter's and of its rank's interval."""
    units = {"adapter": run, "rank": parse_run(run)["group"]}
    rows = {label: lookup(summary, unit, metric) for label, unit in units.items()}
    show = _points if at_least else _percent
    met = all(row["low"] >= bar if at_least else row["high"] <= bar for row in rows.values())
    own, rank = rows["adapter"], rows["rank"]
    measured = f"{show(own['value'])} [{show(own['low'])}, {show(own['high'])}]; over "
    measured += (
        f"{rank['seeds']} seeds {show(rank['value'])} [{show(rank['low'])}, {show(rank['high'])}]"
    )
    return {
        "criterion": name,
        "bar": ("at least " if at_least else "at most ") + show(bar),
        "measured": measured,
        "met": bool(met),
        "values": {
            label: {key: float(row[key]) for key in ("value", "low", "high")}
            for label, row in rows.items()
        },
    }


def _plot_criterion(plot: Path, evaluated: Path) -> dict[str, Any]:
    """The picture exists, opens, and was drawn from this run's own evaluation."""
    try:
        with Image.open(storage.reading(plot)) as image:
            image.load()
            drawn_from, size = image.info.get(SOURCE_KEY), image.size
    except (OSError, SyntaxError):
        drawn_from, size = None, None
    current = drawn_from == storage.sha256(evaluated)
    found = f"{size[0]} × {size[1]} pixels" if size else "missing or broken"
    return {
        "criterion": "3 rank-ablation plot",
        "bar": f"{plot.name} exists, drawn from this run's evaluation",
        "measured": f"{found}, drawn from {'this' if current else 'another'} run",
        "met": bool(size and current),
        "values": {"drawn_from": drawn_from},
    }


def _qlora_criterion(results: Path, summary: pd.DataFrame, run: str, bar: float) -> dict[str, Any]:
    """QLoRA ran at the judged rank, its memory was measured, and it agrees with LoRA."""
    rank = parse_run(run)["rank"]
    name = "4 QLoRA agrees within the quantization error, memory measured"
    bar_text = f"logit difference at most {bar:g} × that of quantizing alone; less memory than LoRA"
    agreement = storage.read_table(results / "evaluate" / "agreement.parquet").to_pandas()
    agreement = agreement.set_index(agreement["adapter"].fillna("none"))["mean_abs"]
    memory = storage.read_table(results / "memory" / "memory.parquet").to_pandas()
    units = set(summary["unit"])
    if f"qlora_r{rank}" not in units or run not in agreement:
        measured = f"no QLoRA run at rank {rank}; add it to sweep.qlora_ranks"
        return {
            "criterion": name,
            "bar": bar_text,
            "measured": measured,
            "met": False,
            "values": {},
        }
    ratio = agreement[run] / agreement["none"]

    def held(method: str) -> float:
        rows = memory[(memory["method"] == method) & (memory["rank"] == rank)]
        return float(rows["weights_bytes_measured"].iloc[0])

    saving = held("lora") / held("qlora")
    accuracy = {m: lookup(summary, f"{m}_r{rank}", "accuracy") for m in ("lora", "qlora")}
    measured = f"{ratio:.2f} × the quantization error; weights {saving:.2f} × smaller; accuracy "
    measured += f"LoRA {accuracy['lora']['value']:.1%}, QLoRA {accuracy['qlora']['value']:.1%}"
    return {
        "criterion": name,
        "bar": bar_text,
        "measured": measured,
        "met": bool(ratio <= bar and saving > 1),
        "values": {"agreement": float(ratio), "weights_saving": saving},
    }


def judge(settings: dict[str, Any], results: Path, out: Path) -> None:
    """Write `definition_of_done.json` and `.md` and `metrics.json`, whether or not bars are met."""
    bars, sweep = settings["definition_of_done"], settings["sweep"]
    evaluated = results / "evaluate" / "summary.parquet"
    summary = storage.read_table(evaluated).to_pandas()
    base_bytes = checkpoint.file_bytes(results / "base")
    names = [f"lora_r{rank}_s{seed}" for rank in sweep["ranks"] for seed in sweep["seeds"]]
    ratios = {n: checkpoint.file_bytes(results / "train" / n) / base_bytes for n in names}
    choice = choose(summary, ratios, bars)
    run = choice["adapter"]
    ratio = ratios[run]
    criteria = [
        _interval_criterion(
            "1 irregular accuracy over the base", summary, run, "accuracy_gain",
            bars["accuracy_gain"], True,
        ),
        _interval_criterion(
            "2 control perplexity drift", summary, run, "perplexity_drift",
            bars["perplexity_drift"], False,
        ),
        _plot_criterion(results / "ablation.png", evaluated),
        _qlora_criterion(results, summary, run, bars["agreement"]),
        {
            "criterion": "5 adapter file against base file",
            "bar": f"below {100 * bars['adapter_ratio']:g} %",
            "measured": f"{100 * ratio:.2f} % of {base_bytes:,} bytes, both float32",
            "met": bool(ratio < bars["adapter_ratio"]),
            "values": {"ratio": ratio},
        },
    ]  # fmt: skip
    verdict = {
        "adapter": choice,
        "met": all(criterion["met"] for criterion in criteria),
        "criteria": criteria,
    }
    storage.write_json(out / "definition_of_done.json", verdict)
    storage.write_text(out / "definition_of_done.md", as_markdown(verdict))
    accuracy = float(lookup(summary, run, "accuracy")["value"])
    storage.write_json(out / "metrics.json", {"accuracy": accuracy, **headline(criteria)})


def headline(criteria: list[dict[str, Any]]) -> dict[str, float]:
    """The judged figures, few enough for one row of `dvc metrics show` and `dvc exp show`."""
    gain, drift = (criteria[i]["values"] for i in (0, 1))
    return {
        "accuracy_gain": gain["adapter"]["value"],
        "accuracy_gain_low": min(interval["low"] for interval in gain.values()),
        "perplexity_drift": drift["adapter"]["value"],
        "perplexity_drift_high": max(interval["high"] for interval in drift.values()),
        **criteria[3]["values"],
        "adapter_ratio": criteria[4]["values"]["ratio"],
        "criteria_met": sum(criterion["met"] for criterion in criteria),
    }


def as_markdown(verdict: dict[str, Any]) -> str:
    """The verdict as a table for people."""
    choice = verdict["adapter"]
    lines = [
        "# Definition of Done",
        "",
        f"Judged on held-out test frames: `{choice['adapter']}`, chosen on validation: "
        f"{choice['reason']} ({choice['eligible']} of {choice['of']} adapters).",
        "",
        "| criterion | bar | measured on test [95 % interval] | met |",
        "|---|---|---|---|",
    ]
    for row in verdict["criteria"]:
        met = "yes" if row["met"] else "**NO**"
        lines.append(f"| {row['criterion']} | {row['bar']} | {row['measured']} | {met} |")
    total = len(verdict["criteria"])
    met = sum(row["met"] for row in verdict["criteria"])
    lines += ["", f"{met} of {total} criteria met."]
    return "\n".join(lines) + "\n"


def gate(judged: Path, out: Path) -> None:
    """Write one line to `out` if every criterion is met.

    Raises:
        UserError: naming each missed criterion, its bar and what was measured.
    """
    verdict = storage.read_json(judged)
    missed = [row for row in verdict["criteria"] if not row["met"]]
    if missed:
        named = "; ".join(
            f"criterion {row['criterion']}: {row['measured']}, bar {row['bar']}" for row in missed
        )
        raise UserError(f"{judged}: definition of done missed: {named}")
    total = len(verdict["criteria"])
    storage.write_text(out, f"all {total} criteria met by {verdict['adapter']['adapter']}\n")
