"""The Spanish example, run by the project's own workflow in a folder of its own."""

import shutil

import pytest

from .conftest import ROOT, Project, project_files

EXAMPLE = "examples/spanish"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A copy of the project's files in which `make example` ran."""
    root = tmp_path_factory.mktemp("example") / "project"
    for name in project_files():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)
    project = Project(root)
    project.make("example")
    return project


def test_the_readme_tells_what_a_fresh_run_gives(made):
    page = f"{EXAMPLE}/README.md"
    assert (made.root / page).read_text() == (ROOT / page).read_text()


def test_the_example_meets_its_own_bars_and_touches_nothing_of_the_project(made):
    assert "criteria met" in (made.root / EXAMPLE / "results" / "gate.txt").read_text()
    assert not (made.root / "results").exists()
    assert not (made.root / "data" / "corpus.parquet").exists()
    assert "Nothing to be done" in made.run("snakemake", "--directory", EXAMPLE, "all").stdout
