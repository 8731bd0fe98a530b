"""Run an experiment of its own to its verdict, met or not: another base, or a larger task."""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

import yaml

VERDICT, SUMMARY = "results/definition_of_done.json", "results/evaluate/summary.parquet"


def main() -> None:
    """Make the project's folder below `--out`, run it, and copy what came out beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="all settings, as JSON or a YAML file")
    parser.add_argument("--tables", type=Path, nargs=2, required=True, help="verbs and templates")
    parser.add_argument("--base-seed", type=int, help="of the base, in place of the settings'")
    parser.add_argument("--cores", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    given = args.settings
    text = given if given.startswith("{") else Path(given).read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    names = ("verbs.csv", "templates.csv")
    settings["corpus"] |= {"file": None} | dict(zip(("verbs", "templates"), names, strict=True))
    if args.base_seed is not None:
        settings["base"]["seed"] = args.base_seed
        settings["sweep"] = settings["science"]["base_sweep"]
    folder = args.out / "project"
    folder.mkdir(parents=True, exist_ok=True)
    for table, name in zip(args.tables, names, strict=True):
        shutil.copyfile(table, folder / name)
    (folder / "params.yaml").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    command = ["snakemake", "--directory", str(folder), "--cores", args.cores, "--", VERDICT]
    subprocess.run(command, check=True)
    for made in (SUMMARY, VERDICT):
        shutil.copyfile(folder / made, args.out / Path(made).name)


if __name__ == "__main__":
    main()
