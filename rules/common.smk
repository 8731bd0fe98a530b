"""What the rules share: their settings and sources, and where the files of a run lie."""

import importlib
import json
import shlex

from minituner.checkpoints import runs
from minituner.workflow import settings as minituner_settings
from minituner.workflow import sources as minituner_sources
from minituner.workflow.reading import with_numbers

# Checked again: `--config` may have changed what params.yaml says.
config = with_numbers(config)
check(minituner_settings.validate, config, minituner_settings.COMBINED)

SWEEP = config["sweep"]
# What the corpus is made from: the user's own sentences, or the two tables.
MADE_FROM = {
    key: config["corpus"][key]
    for key in (["file"] if config["corpus"]["file"] else ["verbs", "templates"])
}
VERBS = {key: path for key, path in MADE_FROM.items() if key == "verbs"}
CORPUS, IRREGULAR, CONTROL = (f"data/{name}.parquet" for name in ("corpus", "irregular", "control"))


def settings(command, sections="SETTINGS", *further, given=config):
    """The sections that a subcommand names, as JSON: a job cannot see any other setting."""
    subcommand = importlib.import_module(f"minituner.commands.{command}")
    chosen = minituner_settings.select(given, *getattr(subcommand, sections), *further)
    return json.dumps(chosen, sort_keys=True)


def sources(*commands):
    """The source files that subcommands run, to be declared as the rule's input."""
    return list(map(here, minituner_sources.of(*commands)))


def here(file):
    """A file of this checkout, as seen from the working folder (`--directory` may say another)."""
    return os.path.relpath(Path(workflow.basedir, file))


def options(paths):
    """Paths as a subcommand's options: {"verbs": "a.csv"} → --verbs a.csv."""
    return " ".join(f"--{key} {shlex.quote(path)}" for key, path in paths.items())


def grown(first):
    """A resource that each retry asks more of: a job killed at its limit gets another chance."""
    return lambda wildcards, attempt: first * attempt


def model(folder):
    """The files of a model in a folder; none without a folder."""
    return [f"{folder}/model.safetensors", f"{folder}/config.json"] if folder else []


def adapter(folder):
    """The files of an adapter in a folder; none without a folder."""
    return (
        [f"{folder}/adapter_model.safetensors", f"{folder}/adapter_config.json"] if folder else []
    )


def adapters(names):
    """The files of the adapters of some runs."""
    return [file for run in names for file in adapter(runs.adapter_folder(run))]


def models(names):
    """The files of the models of some runs."""
    return [file for run in names for file in model(runs.base_folder(run))]


def programs(folder):
    """The files of a benchmark or a study."""
    return sorted(map(str, Path(folder).glob("*.py")))
