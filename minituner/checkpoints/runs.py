"""The names of a sweep's runs, and where each lies below `results/`.

A run is `base`, `nf4`, `full_s0` or, by method, rank and seed, `lora_r8_s0`; a group is all seeds
of one: `full`, `lora_r8`. The settings called `sweep` hold `ranks`, `qlora_ranks` and `seeds`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minituner.checkpoints.names import ADAPTER_CONFIG
from minituner.foundation import storage
from minituner.foundation.errors import UserError

RUN_NAME = re.compile(
    r"(?P<group>(?P<method>base|nf4|full|lora|qlora)(?:_r(?P<rank>\d+))?)(?:_s(?P<seed>\d+))?"
)
ADAPTERS = {"lora": "train", "qlora": "qlora"}  # method → folder of its adapters
Sweep = dict[str, Any]


def parse_run(name: str) -> dict[str, Any]:
    """`lora_r4_s0` → group `lora_r4`, method `lora`, rank 4, seed 0.

    Raises:
        UserError: if the name is no run's.
    """
    match = RUN_NAME.fullmatch(name)
    if not match:
        raise UserError(f"{name}: not a run's name; expected e.g. base, full_s0 or lora_r4_s0")
    fields = match.groupdict()
    return fields | {key: fields[key] and int(fields[key]) for key in ("rank", "seed")}


def groups(method: str, ranks: Iterable[int]) -> list[str]:
    """A method's groups, one a rank: lora_r1, lora_r2, …"""
    return [f"{method}_r{rank}" for rank in ranks]


def seeded(groups: Iterable[str], sweep: Sweep) -> list[str]:
    """Each group's runs, one a seed: lora_r1_s0, lora_r1_s1, …"""
    return [f"{group}_s{seed}" for group in groups for seed in sweep["seeds"]]


def lora_runs(sweep: Sweep) -> list[str]:
    """LoRA at each rank and seed."""
    return seeded(groups("lora", sweep["ranks"]), sweep)


def qlora_runs(sweep: Sweep) -> list[str]:
    """QLoRA at each of its ranks and each seed."""
    return seeded(groups("qlora", sweep["qlora_ranks"]), sweep)


def compared_runs(sweep: Sweep) -> list[str]:
    """The LoRA runs that QLoRA's are held against: at the same ranks."""
    return seeded(groups("lora", sweep["qlora_ranks"]), sweep)


def full_runs(sweep: Sweep) -> list[str]:
    """Full fine-tuning with each seed."""
    return seeded(["full"], sweep)


def all_runs(sweep: Sweep) -> list[str]:
    """Every run that is evaluated."""
    return ["base", "nf4", *full_runs(sweep), *lora_runs(sweep), *qlora_runs(sweep)]


def base_folder(run: str, results: str = "results") -> str:
    """The model that a run is scored with: its own, or the one below its adapter."""
    if run.startswith("full"):
        return f"{results}/train/{run}"
    return f"{results}/nf4" if run.startswith(("nf4", "qlora")) else f"{results}/base"


def adapter_folder(run: str, results: str = "results") -> str | None:
    """The adapter of a run, or None."""
    method = run.split("_")[0]
    return f"{results}/{ADAPTERS[method]}/{run}" if method in ADAPTERS else None


def folders(run: str, results: str = "results") -> dict[str, str]:
    """Both, under the names of the options that take them; without an adapter the model alone."""
    adapter = adapter_folder(run, results)
    return {"base": base_folder(run, results)} | ({"adapter": adapter} if adapter else {})


def judged(results: Path) -> str:
    """The adapter that the Definition of Done was held against."""
    return storage.read_json(results / "definition_of_done.json")["adapter"]["adapter"]


def nearest_rank(rank: int, ranks: Iterable[int]) -> int:
    """The one of `ranks` that is nearest to a rank, the lower one of two."""
    return min(ranks, key=lambda other: (abs(other - rank), other))


def qlora_beside(run: str, qlora_ranks: Iterable[int]) -> str:
    """The QLoRA run to show beside a LoRA run: of its rank and seed, or of the nearest rank."""
    fields = parse_run(run)
    return f"qlora_r{nearest_rank(fields['rank'], qlora_ranks)}_s{fields['seed']}"


def qlora_made_beside(run: str, results: Path) -> list[str]:
    """The QLoRA run beside a LoRA run among those that have been made; empty if none has."""
    made = (path.parent.name for path in results.glob(f"qlora/qlora_r*_s*/{ADAPTER_CONFIG}"))
    ranks = [parse_run(name)["rank"] for name in made]
    return [qlora_beside(run, ranks)] if ranks else []
