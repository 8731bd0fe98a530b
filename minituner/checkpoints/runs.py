"""Where the runs of a sweep lie below `results/`, and how to load one by its name."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from minituner.foundation import storage
from minituner.foundation.errors import UserError

if TYPE_CHECKING:
    from minituner.model import MiniGPT

ADAPTERS = {"lora": "train", "qlora": "qlora"}  # method → folder of its adapters


def base_folder(run: str, results: str = "results") -> str:
    """The model that a run is scored with: its own, or the one below its adapter."""
    if run.startswith("full"):
        return f"{results}/train/{run}"
    return f"{results}/nf4" if run.startswith(("nf4", "qlora")) else f"{results}/base"


def adapter_folder(run: str, results: str = "results") -> str | None:
    """The adapter of a run, or None."""
    method = run.split("_")[0]
    return f"{results}/{ADAPTERS[method]}/{run}" if method in ADAPTERS else None


def judged(results: Path) -> str:
    """The adapter that the Definition of Done was held against."""
    return storage.read_json(results / "definition_of_done.json")["adapter"]["adapter"]


def qlora_beside(run: str, qlora_ranks: list[int]) -> str:
    """The QLoRA run to show beside a LoRA run: of its rank and seed, or of the nearest rank."""
    rank, seed = map(int, re.fullmatch(r"lora_r(\d+)_s(\d+)", run).groups())
    nearest = min(qlora_ranks, key=lambda other: (abs(other - rank), other))
    return f"qlora_r{nearest}_s{seed}"


def made_beside(run: str, results: Path) -> list[str]:
    """The QLoRA run beside a LoRA run among those that are there; empty if none is."""
    folders = results.glob("qlora/qlora_r*_s*/adapter_config.json")
    ranks = [int(re.search(r"_r(\d+)_", folder.parent.name)[1]) for folder in folders]
    return [qlora_beside(run, ranks)] if ranks else []


def load(base: Path, adapter: Path | None = None) -> "MiniGPT":
    """The model in `base`, with `adapter` on top if given, ready to be asked.

    Raises:
        UserError: if it has not been made, or its files do not fit one another.
    """
    from minituner.checkpoints import checkpoint
    from minituner.compute import numerics

    numerics.pin()
    for folder in filter(None, (base, adapter)):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; make it with `snakemake all`")
    model = checkpoint.load_model(base)
    if adapter:
        checkpoint.load_adapter(adapter, model, base)
    return model.eval()


def load_run(run: str, results: Path) -> "MiniGPT":
    """The model of a run, by its name.

    Raises:
        UserError: if it is no run's name, and see `load`.
    """
    from minituner.analysis.summary import parse_run

    parse_run(run)
    adapter = adapter_folder(run, str(results))
    return load(Path(base_folder(run, str(results))), Path(adapter) if adapter else None)
