"""Files that labs 02 and 03 read and that are missing or damaged: told as the project's own."""

import shutil

import pytest

from minituner import train
from minituner.checkpoints.models import save_model
from minituner.labs import material, trial
from minituner.labs.work import ProjectError


@pytest.fixture
def root(tmp_path, monkeypatch, fresh_clone, model, irregular, control):
    """A checkout in which the experiment was run; a base that has to be trained costs no time."""
    folder = tmp_path / "run"
    shutil.copytree(fresh_clone, folder, ignore=shutil.ignore_patterns("results"))
    for path in (irregular, control):
        path.rename(folder / "data" / path.name)
    save_model(folder / "results" / "base", model)
    monkeypatch.setattr(material, "ROOT", folder)
    monkeypatch.setattr(train, "pretrain", lambda *arguments: None)
    return folder


@pytest.mark.parametrize(
    "file",
    ["data/irregular.parquet", "data/control.parquet", "results/base/model.safetensors"],
)
def test_a_damaged_result_is_the_projects_and_make_all_makes_it_again(root, file):
    (root / file).write_bytes(b"x")
    with pytest.raises(ProjectError) as error:
        material.load()
    said = str(error.value)
    assert said.startswith(f"{root / file}: ") and "\n" not in said
    assert said.endswith(f"and no fault of your code; {material.MADE}")


@pytest.mark.parametrize("file", ["params.yaml", "data/verbs.csv"])
def test_a_damaged_file_that_git_holds_is_brought_back_by_git(root, file):
    shutil.rmtree(root / "results")
    (root / file).write_text("{")
    with pytest.raises(ProjectError, match=r"no fault of your code; `git checkout params"):
        material.load()


def test_bars_that_cannot_be_read_are_no_fault_of_the_learners(root):
    (root / "params.yaml").unlink()
    trial.bars.cache_clear()
    with pytest.raises(ProjectError, match=r"params\.yaml: "):
        trial.bars()


@pytest.mark.parametrize(
    "lost, named",
    [
        ("data/control.parquet", "data/control.parquet"),
        ("results/base/config.json", "results/base/config.json"),
        ("results/base", "results/base"),
    ],
)
def test_what_a_smaller_base_stands_in_for_is_named(root, lost, named, capsys):
    shutil.move(root / lost, root / "lost")
    material.load()
    assert capsys.readouterr().out.startswith(f"There is no {named}: a smaller base is trained")


def test_a_small_base_that_is_damaged_is_made_again(root, capsys):
    shutil.rmtree(root / "results")
    material.load()
    (kept,) = (root / "results" / "labs").glob("*/model.safetensors")
    content = kept.read_bytes()
    for broken in (lambda: kept.write_bytes(content[:-1]), kept.unlink):
        broken()
        material.load()
        assert kept.read_bytes() == content
    assert capsys.readouterr().out.count("a smaller base is trained") == 3
