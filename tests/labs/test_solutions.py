"""The worked solutions: they run from any folder, print what pages show, and pass the checks."""

import re

import pytest

from minituner.checkpoints.models import load_model, save_model
from minituner.labs import checking, material
from minituner.labs.__main__ import printed_by
from tests.labs.conftest import SOLUTIONS

NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?")


@pytest.fixture(scope="module")
def base():
    """The labs' small base, made once."""
    return material.load().base


# The labs that train take longest, and their solutions run in the test below too.
ELSEWHERE = [
    pytest.param(name, marks=pytest.mark.long if name[:2] in ("02", "03") else ())
    for name in checking.NAMES
]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_solution_run_elsewhere_prints_what_its_page_shows(name, base):
    said, shown = (printed_by(SOLUTIONS / f"{name}.py"), (SOLUTIONS / f"{name}.txt").read_text())
    assert NUMBER.sub("#", said) == NUMBER.sub("#", shown)
    if name[:2] in ("00", "01"):  # the others' numbers are those of the base that is there
        numbers = [[float(n.replace(",", "")) for n in NUMBER.findall(t)] for t in (said, shown)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=1e-4)


@pytest.mark.parametrize("name", checking.NAMES)
def test_a_solution_passes_every_step_of_its_check(name, base, capsys):
    checking.check(name[:2], SOLUTIONS / f"{name}.py")
    steps = len(checking.steps_of(name[:2]))
    assert f"All {steps} steps of lab {name[:2]} are right." in capsys.readouterr().out


def test_the_small_base_is_kept_and_trained_no_second_time(base, fresh_clone, capsys):
    (folder,) = (fresh_clone / "results" / "labs").iterdir()
    again = material.load().base
    assert capsys.readouterr().out == ""
    kept = load_model(folder).state_dict()
    assert all((tensor == kept[name]).all() for name, tensor in again.state_dict().items())


def test_where_the_experiment_was_run_its_own_base_and_sentences_are_taken(
    tmp_path, monkeypatch, model, irregular, control
):
    save_model(tmp_path / "results" / "base", model)
    (tmp_path / "data").mkdir()
    for path in (irregular, control):
        path.rename(tmp_path / "data" / path.name)
    monkeypatch.setattr(material, "ROOT", tmp_path)
    base, *rows = material.load()
    kept = model.state_dict()
    assert all((tensor == kept[name]).all() for name, tensor in base.state_dict().items())
    lemmas = [{row["verb_lemma"] for row in part} for part in rows]
    assert all(lemmas) and not lemmas[2] & (lemmas[0] | lemmas[1])
    assert all(r["text"].startswith(r["prompt"] + r["form"]) for part in rows for r in part)
