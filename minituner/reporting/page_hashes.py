"""What the report says of its origin: hashes of every file it rests on, versions, numerics.

Only what is the same wherever the same results are made: no clock, host, path or build.
"""

from importlib import metadata
from pathlib import Path
from typing import Any

from minituner.checkpoints import runs
from minituner.foundation import environment as pinning
from minituner.foundation import storage

PACKAGES = ("torch", "numpy", "pandas", "pyarrow", "matplotlib", "safetensors")


def artifacts(settings: dict[str, Any], data: Path, results: Path) -> dict[str, list[Path]]:
    """Stage → the files that the page rests on; named by the settings, so no stray file is."""
    sweep = settings["sweep"]
    names = [f"lora_r{r}_s{s}" for r in sweep["ranks"] for s in sweep["seeds"]]
    names += [f"qlora_r{r}_s{s}" for r in sweep["qlora_ranks"] for s in sweep["seeds"]]
    full = [f"full_s{s}" for s in sweep["seeds"]]
    given = ("file",) if settings["corpus"]["file"] else ("verbs", "templates")
    tables = [*("summary", "per_verb", "agreement")]
    return {
        "written by people": [Path(settings["corpus"][name]) for name in given],
        "corpus": [data / f"{name}.parquet" for name in ("corpus", "irregular", "control")],
        "models": [
            Path(runs.base_folder(name, str(results))) / "model.safetensors"
            for name in ("base", "nf4", *full)
        ],
        "adapters": [
            Path(runs.adapter_folder(name, str(results))) / "adapter_model.safetensors"
            for name in names
        ],
        "evaluations": [results / "evaluate" / f"{name}.parquet" for name in tables]
        + [
            results / "evaluate" / "runs" / f"{name}.parquet"
            for name in ("base", "nf4", *full, *names)
        ],
        "tables": [
            results / f"{name}.parquet"
            for name in (
                *("counts/counts", "memory/memory", "codes/codes", "codes/histogram"),
                *("spectra/spectra", "spectra/truncated", "completions/completions"),
            )
        ],
        "figures": [results / f"{name}.svg" for name in ("ablation", "pareto", "curves")]
        + [results / "codes/codes.svg", results / "spectra/spectra.svg"],
    }


def provenance(settings: dict[str, Any], data: Path, results: Path) -> dict[str, Any]:
    """Hashes by stage, versions of the packages that compute, and the numerics mode."""
    departures = pinning.departures()
    return {
        "files": {
            stage: [
                {"path": path.as_posix(), "sha256": storage.sha256(storage.reading(path))}
                for path in paths
            ]
            for stage, paths in artifacts(settings, data, results).items()
        },
        # Without the suffix of a build: `2.13.0+cpu` and `2.13.0` compute the same here.
        "packages": {name: metadata.version(name).partition("+")[0] for name in PACKAGES},
        "numerics": departures or ["pinned: the same bytes on every x86-64-v3 CPU"],
    }
