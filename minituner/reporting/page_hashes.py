"""What the page says of its origin: hashes of every file it rests on, versions, numerics.

Only what is the same wherever the same results are made: no clock, host, path or build.
"""

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from minituner.checkpoints import names, runs
from minituner.foundation import environment, storage

PACKAGES = ("torch", "numpy", "pandas", "pyarrow", "matplotlib", "safetensors")


def artifacts(settings: dict[str, Any], data: Path, results: Path) -> dict[str, list[Path]]:
    """Stage → the files that the page rests on; named by the settings, so no stray file is."""
    sweep, folder = settings["sweep"], str(results)
    adapters = [*runs.lora_runs(sweep), *runs.qlora_runs(sweep)]
    models = ["base", "nf4", *runs.full_runs(sweep)]
    made_from = ("file",) if settings["corpus"]["file"] else ("verbs", "templates")
    evaluated = results / "evaluate"
    tables = (
        *("counts/counts", "memory/memory", "codes/codes", "codes/histogram"),
        *("spectra/spectra", "spectra/truncated", "completions/completions"),
        "calibration/calibration",
    )
    figures = ("verdict", "ablation", "pareto", "curves", "codes/codes", "spectra/spectra")
    figures += ("calibration/calibration",)
    return {
        "written by people": [Path(settings["corpus"][name]) for name in made_from],
        "corpus": [data / f"{name}.parquet" for name in ("corpus", "irregular", "control")],
        "models": [Path(runs.base_folder(run, folder)) / names.MODEL_FILE for run in models],
        "adapters": [
            Path(runs.adapter_folder(run, folder)) / names.ADAPTER_FILE for run in adapters
        ],
        "evaluations": [
            *(evaluated / f"{name}.parquet" for name in ("summary", "per_verb", "agreement")),
            *(evaluated / "runs" / f"{run}.parquet" for run in [*models, *adapters]),
        ],
        "tables": [results / f"{name}.parquet" for name in tables],
        "figures": [results / f"{name}.svg" for name in figures],
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of the packages that are installed, without the suffix of a build.

    `2.13.0+cpu` and `2.13.0` compute the same here.
    """
    return {name: metadata.version(name).partition("+")[0] for name in packages}


def provenance(settings: dict[str, Any], data: Path, results: Path) -> dict[str, Any]:
    """Hashes by stage, versions of the packages that compute, and the numerics mode."""
    return {
        "files": {
            stage: [
                {"path": path.as_posix(), "sha256": storage.sha256(storage.reading(path))}
                for path in paths
            ]
            for stage, paths in artifacts(settings, data, results).items()
        },
        "packages": versions(PACKAGES),
        "numerics": environment.departures() or ["the same bytes on every x86-64-v3 and arm64 CPU"],
    }
