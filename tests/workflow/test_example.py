"""The Spanish example, run by the project's own workflow in a folder of its own."""

import pytest

from tests.support.tiny_project import ROOT, Project, copy_project

pytestmark = pytest.mark.long

EXAMPLE, MINE = "examples/spanish", "examples/mine"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A copy of the project's files in which README's newcomer copied the example and ran it."""
    root = tmp_path_factory.mktemp("example") / "project"
    copy_project(root)
    project = Project(root)
    project.run("cp", "-r", EXAMPLE, MINE)
    project.make("example", f"EXAMPLE={MINE}")
    return project


def test_the_readme_tells_what_a_fresh_run_gives(made):
    held = (ROOT / EXAMPLE / "README.md").read_text()
    assert (made.root / MINE / "README.md").read_text() == held


def test_the_example_meets_its_own_bars_and_touches_nothing_of_the_project(made):
    assert "criteria met" in (made.root / MINE / "results" / "gate.txt").read_text()
    assert not (made.root / "results").exists()
    assert not (made.root / "data" / "corpus.parquet").exists()
    assert "Nothing to be done" in made.run("snakemake", "--directory", MINE, "all").stdout
