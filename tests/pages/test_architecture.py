"""The worked examples of docs/architecture.md, applied to a copy of the project and run."""

import re

import pytest

from tests.support.tiny_project import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
EXAMPLES = {
    title: text
    for title, text in re.findall(
        r"(?ms)^### (A \w+)\n(.*?)(?=^### |\Z)", PAGE.partition("## Where to add something")[2]
    )
}
STEP = re.compile(
    r"(?ms)^(?:New file `(?P<new>[^`]+)`|At the end of `(?P<end>[^`]+)`"
    r"|In `(?P<file>[^`]+)`, behind the line `(?P<line>[^\n]*)`):\n\n```\w+\n(?P<text>.*?)```$"
)


def apply(project, example):
    """Do to a project what the example says, a file at a time."""
    steps = list(STEP.finditer(example))
    assert len(steps) + example.count("```sh") == example.count("```") / 2
    for step in steps:
        path = project.root / (step["new"] or step["end"] or step["file"])
        before = "" if step["new"] else path.read_text(encoding="utf-8")
        if step["file"]:
            assert before.count(f"{step['line']}\n") == 1, step["line"]
            text = before.replace(f"{step['line']}\n", f"{step['line']}\n{step['text']}")
        else:
            text = before + ("\n\n" if before else "") + step["text"]
        path.write_text(text, encoding="utf-8")


def test_the_page_has_an_example_of_each_kind():
    assert list(EXAMPLES) == ["A command", "A metric", "A figure", "A stage"]


BUILT = [pytest.param(kind, marks=pytest.mark.long) for kind in ("A figure", "A stage")]


@pytest.mark.parametrize("kind", ["A command", "A metric", *BUILT])
def test_what_the_page_says_to_add_works(project, kind):
    apply(project, EXAMPLES[kind])
    (commands,) = re.findall(r"(?s)```sh\n(.*?)```", EXAMPLES[kind])
    said = [project.run("bash", "-c", line).stdout for line in commands.splitlines()]
    if kind == "A command":
        assert re.search(r"(?m)^go +\d+$", said[0])
        assert (
            "list the verbs of the corpus"
            in project.run("python", "-m", "minituner", "--help").stdout
        )
    changed = [*project.root.glob("minituner/**/*.py")]
    project.run("ruff", "check", *changed)
    project.run("lint-imports", "--no-logo")
    project.run("snakefmt", "--check", "Snakefile", "rules")
