"""What is not a plain clone on the author's machine: archives, other line ends, no home."""

import subprocess

import pytest

from tests.support.tiny_project import Project, copy_project


@pytest.fixture
def archive(tmp_path):
    """The sources without a repository."""
    copy_project(tmp_path / "archive")
    return Project(tmp_path / "archive")


@pytest.mark.parametrize("target", ["test", "sync", "record", "push", "pull", "reproduce", "clean"])
def test_without_a_repository_what_needs_one_says_so_before_anything_is_done(
    archive, target, tried
):
    for _ in range(2):
        done = archive.make(target, ok=False)
        first, *others = done.stdout.splitlines()
        assert done.returncode != 0 and first.startswith("minituner: error: git: ")
        assert "; this target needs a repository: " in first
        assert [line.partition(":")[0] for line in others] == ["make"]
        subprocess.run(["git", "init", "--quiet", archive.root], check=True)  # and nothing in it
    tried("an archive of the sources: `make test`", "github/git-sizer#51", "says that it needs git")


def test_without_a_repository_the_workflow_is_made_as_elsewhere(archive, tried):
    assert "gate" in archive.jobs()
    archive.run("snakemake", "data/corpus.parquet")
    tried("an archive of the sources: `snakemake all`", "github/git-sizer#51", "works")


def test_a_checkout_with_windows_line_ends_asked_for_has_the_same_bytes(archive, tmp_path, tried):
    run = archive.run
    run("git", "init", "--quiet")
    run("git", "add", ".")
    run("git", "commit", "--quiet", "--message", "sources")
    run("git", "-c", "core.autocrlf=true", "clone", "--quiet", archive.root, tmp_path / "clone")
    for name in run("git", "ls-files").stdout.splitlines():
        assert (tmp_path / "clone" / name).read_bytes() == (archive.root / name).read_bytes(), name
    tried("Windows' line ends by `core.autocrlf`", "treeverse/dvc#619", "the same bytes")


def test_without_a_home_that_can_be_written_the_workflow_runs_in_its_own_folder(
    project, tmp_path, tried
):
    project.extra = {"HOME": str(tmp_path / "none")}
    assert project.jobs() == {}
    assert not (tmp_path / "none").exists()
    assert (project.root / ".snakemake" / "cache").is_dir()
    tried(
        "a home that cannot be written", "snakemake/snakemake#1593", "works in the project's folder"
    )
