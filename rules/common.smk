"""What the rules share: their settings and sources, and where a run's files lie."""

import json
import shlex

from minituner.workflow import settings as minituner_settings
from minituner.workflow import sources as minituner_sources
from minituner.checkpoints.runs import adapter_folder, base_folder

# Checked again: `--config` may have changed what params.yaml says.
check(minituner_settings.validate, config, "settings")

# What the corpus is made from: the user's own sentences, or the two tables.
MADE_FROM = {
    key: config["corpus"][key]
    for key in (["file"] if config["corpus"]["file"] else ["verbs", "templates"])
}
VERBS = {key: path for key, path in MADE_FROM.items() if key == "verbs"}
CORPUS = "data/corpus.parquet"
IRREGULAR = "data/irregular.parquet"
CONTROL = "data/control.parquet"
FIGURES = [
    f"results/{name}.{kind}" for name in ("ablation", "pareto", "curves") for kind in ("png", "svg")
]
TABLES = [
    f"results/{name}/{name}.{kind}"
    for name in ("counts", "memory")
    for kind in ("parquet", "csv", "md")
]
PAGE = "results/report.html"
REPORTS = FIGURES + TABLES + ["results/definition_of_done.md", "results/values.json", PAGE]


def settings(*sections):
    """Exactly these sections as JSON: a job cannot see, nor be rerun for, any other setting."""
    return json.dumps(minituner_settings.select(config, *sections), sort_keys=True)


def options(paths):
    """Paths as a subcommand's options: {"verbs": "a.csv"} → --verbs a.csv."""
    return " ".join(f"--{key} {shlex.quote(path)}" for key, path in paths.items())


def here(file):
    """A file of this checkout, as seen from the working folder (`--directory` may say another)."""
    return os.path.relpath(Path(workflow.basedir, file))


def sources(command):
    """The source files that a subcommand runs, to be declared as the rule's input."""
    return [here(file) for file in minituner_sources.of(command)]


def grown(first):
    """A resource that each retry asks more of: a job killed at its limit gets another chance."""
    return lambda wildcards, attempt: first * attempt


def model(folder):
    """The files of a model in a folder."""
    return [f"{folder}/model.safetensors", f"{folder}/config.json"]


def adapter(folder):
    """The files of an adapter in a folder."""
    return [f"{folder}/adapter_model.safetensors", f"{folder}/adapter_config.json"]


def checkpoint():
    """The files of the user's own base, if the settings name one."""
    return model(config["base"]["checkpoint"]) if config["base"]["checkpoint"] else []


def runs(method, ranks):
    """The names of a method's runs: one for each rank and seed."""
    return [f"{method}_r{rank}_s{seed}" for rank in ranks for seed in config["sweep"]["seeds"]]


def evaluated_base(wildcards):
    """Input of evaluate: the run's model."""
    return model(base_folder(wildcards.run))


def evaluated_adapter(wildcards):
    """Input of evaluate: the run's adapter, if it has one."""
    folder = adapter_folder(wildcards.run)
    return adapter(folder) if folder else []


def base_option(wildcards):
    """Option of evaluate: the run's model."""
    return base_folder(wildcards.run)


def adapter_option(wildcards):
    """Option of evaluate: the run's adapter, if it has one."""
    folder = adapter_folder(wildcards.run)
    return f"--adapter {folder}" if folder else ""


LORA = runs("lora", config["sweep"]["ranks"])
QLORA = runs("qlora", config["sweep"]["qlora_ranks"])
FULL = [f"full_s{seed}" for seed in config["sweep"]["seeds"]]
COMPARED = runs("lora", config["sweep"]["qlora_ranks"])
RUNS = ["base", "nf4", *FULL, *LORA, *QLORA]
