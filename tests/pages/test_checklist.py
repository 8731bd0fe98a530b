"""docs/checklist.md against what exists: commands that parse, files that are there."""

import re
import shlex

import pytest
import yaml

from minituner.workflow import cli
from tests.support.tiny_project import ROOT

PAGE = (ROOT / "docs" / "checklist.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in re.findall(r"(?m)^\|(?!---)(.*)$", PAGE)
]
CODE = sorted(set(re.findall(r"`([^`]+)`", PAGE)))
COMMANDS = [text for text in CODE if text.split()[0] in ("make", "snakemake", "minituner")]
FILES = [text for text in CODE if text not in COMMANDS]
# Written outside dvc.yaml's stages: each job's, and by `make record`.
FURTHER = {"logs/benchmarks/": "rules/every_rule.smk", "results/recorded_on.json": "Makefile"}


def outputs():
    """What the stages of dvc.yaml make; a folder covers what lies in it."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    listed = [out for s in stages for out in s.get("outs", []) + s.get("metrics", [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def is_output(path):
    return any(path == out or path.startswith(f"{out}/") for out in outputs())


def rules():
    files = [ROOT / "Snakefile", *(ROOT / "rules").rglob("*.smk")]
    return {
        name
        for file in files
        for name in re.findall(r"(?m)^rule (\w+):", file.read_text(encoding="utf-8"))
    }


def targets():
    files = [ROOT / "Makefile", ROOT / "tests" / "Makefile", ROOT / "requirements" / "install.mk"]
    return {
        name
        for file in files
        for name in re.findall(r"(?m)^([a-z]+):(?!=)", file.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_checklist_is_one_that_runs(command):
    program, *words = shlex.split(command)
    if program == "make":
        assert set(words) <= targets()
    elif program == "snakemake":
        for word in words:
            assert word == "--dry-run" or word in rules() or is_output(word), word
    else:
        name, *options = [word for word in words if word != "--help"] or [None]
        assert name is None or cli.command(name)
        if options:
            cli.build_parser(name).parse_args([name, *options])


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_checklist_is_in_the_project_or_made_by_it(name):
    if name in FURTHER:
        assert name.strip("/") in (ROOT / FURTHER[name]).read_text(encoding="utf-8")
    else:
        assert is_output(name) or (ROOT / name).is_file(), name


def test_every_question_has_an_answer_and_no_yes_goes_without_a_place_to_look():
    assert len(ROWS) > 40
    for question, answer, *where in ROWS:
        assert question and answer
        if answer.startswith(("yes", "in part")):
            assert re.search(r"`|\]\(", "".join(where)), question


def test_the_page_says_that_there_is_no_licence_file_while_there_is_none():
    assert ("there is no LICENSE file" in PAGE) == (not (ROOT / "LICENSE").exists())
