"""Hold a rebuilt dvc.lock against the recorded one, and name what differs first.

dvc.lock has every artifact's hash, and the hashes and settings that each was made of. Beside it, in
git, lies `results/recorded_on.json`: the packages, CPU and mode it was made with.
"""

import graphlib
from pathlib import Path
from typing import Any

from minituner.foundation import environment, storage
from minituner.foundation.errors import UserError
from minituner.workflow import provenance

LOCK, RECORDED_ON, METRICS = "dvc.lock", "results/recorded_on.json", "results/metrics.json"
# On a CPU outside the promise the judged figures must agree this closely instead of every byte:
# twice what single runs differed by between MKL's default kernels of two CPUs.
TOLERANCES = {
    "accuracy": 0.02,
    "accuracy_gain": 0.02,
    "accuracy_gain_low": 0.02,
    "perplexity_drift": 0.005,
    "perplexity_drift_high": 0.005,
    "agreement": 0.1,
    "weights_saving": 0.001,
    "adapter_ratio": 1e-6,
    "criteria_met": 0,
}
Stage = dict[str, Any]


def read_lock(path: Path) -> dict[str, Stage]:
    """The stages of a dvc.lock in the order in which one needs the other.

    Raises:
        UserError: if it is missing or none.
    """
    try:
        stages = provenance.stages(path)
        owner = {out["path"]: name for name, stage in stages.items() for out in stage["outs"]}
        needs = {
            name: {owner[dep["path"]] for dep in stage.get("deps", ()) if dep["path"] in owner}
            for name, stage in stages.items()
        }
        order = graphlib.TopologicalSorter(needs).static_order()
        return {name: stages[name] for name in order}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run dvc repro first") from None
    except (ValueError, KeyError, TypeError, AttributeError, graphlib.CycleError) as error:
        raise UserError(f"{path}: no lock file of DVC ({error!r}); restore it from git") from None


def _hashes(stage: Stage, kind: str) -> dict[str, str]:
    return {entry["path"]: entry.get("md5", "") for entry in stage.get(kind, ())}


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a.b": 1}."""
    if not isinstance(value, dict):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{name}.{key}" if name else str(key))
    return flat


def _unequal(recorded: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """The keys of two flat mappings whose values differ, the recorded one's order first."""
    keys = dict.fromkeys([*recorded, *made])
    return [key for key in keys if recorded.get(key) != made.get(key)]


def first_difference(
    recorded: dict[str, Stage], made: dict[str, Stage]
) -> tuple[str, list[str], list[str]] | None:
    """The first stage whose artifacts differ, which ones, and what that was made of differs.

    Returns:
        Stage, artifacts, and causes such as `minituner/train.py: another file`; None if all
        artifacts are equal.
    """
    for name in dict.fromkeys([*recorded, *made]):
        before, now = recorded.get(name, {}), made.get(name, {})
        outs = _unequal(_hashes(before, "outs"), _hashes(now, "outs"))
        if not outs:
            continue
        causes = [
            f"{path}: another file"
            for path in _unequal(_hashes(before, "deps"), _hashes(now, "deps"))
        ]
        old, new = (_flat(next(iter(s.get("params", {}).values()), {})) for s in (before, now))
        causes += [f"{key}: {old.get(key)} → {new.get(key)}" for key in _unequal(old, new)]
        if before.get("cmd") != now.get("cmd"):
            causes.append(f"command: {before.get('cmd')} → {now.get('cmd')}")
        return name, outs, causes
    return None


def environment_differences(recorded: Path) -> list[str]:
    """What of packages, CPU, variables and mode differs here from what was recorded."""
    then, now = _flat(storage.read_json(recorded)), _flat(provenance.made_with())
    return [f"{key}: {then.get(key)} → {now.get(key)}" for key in _unequal(then, now)]


def metric_differences(recorded: Path, made: Path) -> list[str]:
    """The judged figures that are further apart than `TOLERANCES`."""
    before, now = storage.read_json(recorded), storage.read_json(made)
    return [
        f"{name}: {before[name]:g} → {now.get(name)}, tolerance {bound:g}"
        for name, bound in TOLERANCES.items()
        if name in before and not abs(before[name] - now.get(name, float("inf"))) <= bound
    ]


def compare(recorded: Path, made: Path) -> str:
    """Hold the rebuilt project in `made` against the one in `recorded`; returns what to print.

    Raises:
        UserError: if they differ, naming the first stage that does and everything that may be why.
    """
    outside = environment.outside_promise()
    if outside:
        apart = metric_differences(recorded / METRICS, made / METRICS)
        if apart:
            raise UserError(f"{METRICS}: outside the tolerances: {'; '.join(apart)}")
        return f"outside the promise of equal bytes ({outside}): judged figures within tolerances\n"
    then, now = read_lock(recorded / LOCK), read_lock(made / LOCK)
    difference = first_difference(then, now)
    if difference is None:
        total = sum(len(_hashes(stage, "outs")) for stage in then.values())
        return f"reproduced: all {total} artifacts of {LOCK} byte for byte\n"
    stage, outs, causes = difference
    causes += environment_differences(recorded / RECORDED_ON)
    why = "; ".join(causes) or "nothing that is recorded, so please report it"
    raise UserError(
        f"{LOCK}: stage {stage} is the first that differs, in {', '.join(outs)}; what it was "
        f"made of differs in: {why}"
    )
