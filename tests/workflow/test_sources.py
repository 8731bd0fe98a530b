"""The declared sources of a job against what Python really loads."""

import importlib
import json

import pytest

from minituner.workflow import cli, sources

EVERY = sorted(path.stem for path in cli.COMMANDS.glob("[!_]*.py"))
FOR_PEOPLE = {
    *("check", "compare", "complete", "completion", "conjugate", "merge"),
    *("environment", "fill", "provenance", "reproduce", "showcase", "validate"),
}
STUDIES = {"scaling", "step", "studies", "study", "throughput"}  # targets of their own
OF_ALL = [name for name in EVERY if name not in FOR_PEOPLE | STUDIES]  # what `snakemake all` runs
SHARED = {"complete": {"conjugate"}}  # a command's file → other commands that use it


@pytest.fixture(scope="module")
def loaded(finished):
    """Subcommand → modules of the package that any of its jobs loaded."""
    modules = {}
    for path in (finished.root.parent / "trace").glob("*.json"):
        record = json.loads(path.read_text())
        modules.setdefault(record["command"], set()).update(record["loaded"])
    return modules


def test_the_commands_held_against_their_jobs_are_all_that_jobs_run(loaded):
    assert set(EVERY) >= FOR_PEOPLE | STUDIES
    assert set(loaded) == set(OF_ALL)


@pytest.mark.parametrize("command", OF_ALL)
def test_a_job_loads_no_source_that_its_rule_does_not_declare(loaded, command):
    assert loaded[command] <= set(sources.of(command))


@pytest.mark.parametrize("command", EVERY)
def test_a_job_declares_its_own_stage_and_not_the_others(command):
    declared = set(sources.of(command))
    assert {
        "minituner/__init__.py",
        "minituner/__main__.py",
        "minituner/workflow/cli.py",
        "minituner/foundation/errors.py",
        f"minituner/commands/{command}.py",
    } <= declared
    if hasattr(importlib.import_module(f"minituner.commands.{command}"), "SETTINGS"):
        assert "minituner/workflow/settings.py" in declared
    assert "minituner/workflow/sources.py" not in declared
    assert "minituner/workflow/help.py" not in declared
    for other in EVERY:
        if other != command and command not in SHARED.get(other, ()):
            assert f"minituner/commands/{other}.py" not in declared
    if command == "corpus":
        assert not {"minituner/model.py", "minituner/train.py"} & declared


def test_an_unknown_command_has_no_sources():
    with pytest.raises(KeyError):
        sources.of("corpse")
