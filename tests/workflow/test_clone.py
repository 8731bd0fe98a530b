"""From one checkout to another through a store that is a mere folder."""

import shutil

import pytest

from tests.support.tiny_project import Project

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def store(finished, tmp_path_factory):
    """A store into which the finished project was pushed; tests only read it."""
    root = tmp_path_factory.mktemp("pushed")
    shutil.copytree(finished.root, root / "origin", symlinks=True)
    Project(root / "origin").make("push", f"REMOTE={root / 'store'}")
    return root / "store"


@pytest.fixture
def clone(finished, tmp_path):
    """A fresh clone of the finished project."""
    finished.run("git", "clone", "--quiet", finished.root, tmp_path / "clone")
    return Project(tmp_path / "clone")


def test_after_make_pull_a_fresh_clone_runs_no_job_but_sees_later_changes(clone, store):
    clone.make("pull", f"REMOTE={store}")
    assert clone.jobs() == {}
    assert clone.stale_stages() == set()
    clone.set("evaluate", bootstrap=21)
    again = {"summarize", "plot", "judge", "values", "completions", "card", "report", "gate"}
    assert set(clone.jobs()) == again
    assert clone.stale_stages() == {"evaluate", "page"}


def test_a_plain_dvc_pull_does_not_lead_snakemake_astray(clone, store):
    clone.run("dvc", "remote", "modify", "--local", "local", "url", store)
    clone.run("dvc", "pull")
    done = clone.run("snakemake", "all", ok=False)
    assert done.returncode != 0
    assert "changed by another program" in done.stdout and "make sync" in done.stdout
    clone.make("sync")
    assert clone.jobs() == {}


def test_results_of_other_settings_are_not_adopted(clone, store):
    clone.set("evaluate", bootstrap=21)
    done = clone.make("pull", f"REMOTE={store}", ok=False)
    assert done.returncode != 0
    assert "do not belong to these settings" in done.stdout


@pytest.mark.parametrize("damage", [lambda content: content[:50], lambda content: b"[]"])
def test_a_damaged_list_of_a_folders_files_is_not_adopted(clone, store, tmp_path, damage, tried):
    """DVC itself takes a list that is well-formed, and empties the folder."""
    shutil.copytree(store, tmp_path / "store")
    for path in (tmp_path / "store").rglob("*.dir"):
        path.chmod(0o644)
        path.write_bytes(damage(path.read_bytes()))
    done = clone.make("pull", f"REMOTE={tmp_path / 'store'}", ok=False)
    assert done.returncode != 0 and "minituner: error: the " in done.stdout
    assert "up to date" not in done.stdout
    tried("a damaged `.dir` object in a store", "treeverse/dvc#10030", "nothing is adopted")


def test_an_empty_store_is_named_with_the_remedy(clone, tmp_path):
    done = clone.make("pull", f"REMOTE={tmp_path / 'nothing'}", ok=False)
    assert done.returncode != 0
    assert "make push" in done.stdout


def test_results_that_are_not_current_are_not_published(project, tmp_path):
    project.set("evaluate", bootstrap=21)
    done = project.make("push", f"REMOTE={tmp_path / 'store'}", ok=False)
    assert done.returncode != 0
    assert "make all first" in done.stdout
    assert not (tmp_path / "store").exists()


def test_results_that_dvc_swapped_are_not_taken_for_current(project):
    """DVC's run cache brings back old results; Snakemake's record is then of the newer ones."""
    project.set("evaluate", bootstrap=21)
    project.run("snakemake", "all")
    project.run("dvc", "commit", "--force")
    project.set("evaluate", bootstrap=20)
    assert "is cached" in project.run("dvc", "repro").stdout
    project.set("evaluate", bootstrap=21)
    done = project.run("snakemake", "all", ok=False)
    assert done.returncode != 0 and "make sync" in done.stdout


def test_a_clone_without_the_store_makes_everything(clone):
    """The results that git holds must not be mistaken for finished ones."""
    assert {"corpus", "base", "train", "evaluate", "plot", "judge", "gate"} <= set(clone.jobs())
