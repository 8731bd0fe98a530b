"""The declared sources of a job against what Python really loads."""

import json

import pytest

from minituner.commands import stages
from minituner.workflow import sources

# What `snakemake all` runs; the studies are a target of their own.
COMMANDS = sorted(
    {"train" if c == "train_full" else c for c in stages.SECTIONS} - {"study", "studies"}
) + ["agreement", "codes", "evaluate", "gate", "spectra"]


@pytest.fixture(scope="module")
def loaded(finished):
    """Subcommand → modules of the package that any of its jobs loaded."""
    found = {}
    for path in (finished.root.parent / "trace").glob("*.json"):
        record = json.loads(path.read_text())
        found.setdefault(record["command"], set()).update(record["loaded"])
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_a_job_loads_no_source_that_its_rule_does_not_declare(loaded, command):
    assert loaded[command] <= set(sources.of(command))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_job_declares_its_own_stage_and_not_the_others(command):
    declared = set(sources.of(command))
    assert {
        "minituner/workflow/cli.py",
        "minituner/workflow/settings.py",
        "minituner/foundation/errors.py",
    } <= declared
    assert "minituner/workflow/sources.py" not in declared
    if command == "corpus":
        assert not {"minituner/model.py", "minituner/train.py"} & declared
