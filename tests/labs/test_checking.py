"""The checks of the labs: each mistake is told by its name, each fault of a file in one line."""

import json
import re

import pytest
import torch

from minituner.commands import check as command
from minituner.foundation import checkout
from minituner.foundation.errors import UserError
from minituner.labs import checking, lab_02_tiny, material, trial
from minituner.labs.checking import Case
from minituner.labs.mistakes import MISTAKES
from minituner.labs.work import Wrong, of_the_project
from tests.labs import answers_00, answers_01
from tests.labs.conftest import SOLUTIONS
from tests.labs.wrong_answers import WRONG
from tests.support.command import call
from tests.support.tiny_project import ROOT

# What is wrong in steps that tune a base shows on one of a few random numbers as well.
ROWS = 10 * lab_02_tiny.ROWS
LABS = [name[:2] for name in checking.NAMES]
CASES = [(lab, name, WRONG[lab][name]) for lab in LABS for name in MISTAKES[lab]]
OTHERS = {"00": answers_00, "01": answers_01}
CASES += [(lab, *also) for lab in OTHERS for also in OTHERS[lab].ALSO_WRONG]
RIGHT = [(lab, answer) for lab in OTHERS for answer in OTHERS[lab].RIGHT]


@pytest.fixture(scope="module", autouse=True)
def random_base(nothing_loaded):
    """A base of random numbers, which no test has to train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            material, "load", lambda: material.Material(lab_02_tiny.tiny(), ROWS, ROWS, ROWS)
        )
        yield


def solution(lab):
    return (SOLUTIONS / f"{checking.lab_name(lab)}.py").read_text(encoding="utf-8")


def changed(lab, *replacements):
    """The solution with texts replaced, each of which it must hold."""
    text = solution(lab)
    for old, new in zip(replacements[::2], replacements[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new)
    return text


def said_of(lab, text, tmp_path, name="mine.py"):
    """The one line that a file gets."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        checking.check(lab, path)
    said = str(error.value)
    assert "\n" not in said and said.startswith(str(path))
    return said


def test_a_wrong_answer_is_tried_for_every_mistake_that_has_a_name():
    assert {lab: set(WRONG[lab]) for lab in WRONG} == {lab: set(MISTAKES[lab]) for lab in LABS}


@pytest.mark.parametrize("lab, name, answer", CASES)
def test_a_mistake_is_told_by_its_name_and_where_to_read(lab, name, answer, tmp_path, capsys):
    said = said_of(lab, changed(lab, *answer), tmp_path)
    assert f": {name}: {MISTAKES[lab][name]}" in said
    step = checking.steps_of(lab)[int(re.search(r": step (\d), ", said)[1]) - 1]
    chapter, _, heading = step.theory.partition(": ")
    theory = f", and docs/theory/{chapter}, {heading!r}" if heading else ""
    assert said.endswith(f"of docs/labs/{checking.lab_name(lab)}.md{theory}")
    capsys.readouterr()


@pytest.mark.parametrize("lab, answer", RIGHT)
def test_another_right_answer_passes(lab, answer, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(changed(lab, *answer), encoding="utf-8")
    checking.check(lab, path)


@pytest.mark.parametrize("lab", LABS)
def test_the_file_with_gaps_is_told_which_gap_is_open_and_on_which_line(lab, tmp_path):
    gaps = (ROOT / "docs" / "labs" / f"{checking.lab_name(lab)}.py").read_text(encoding="utf-8")
    said = said_of(lab, gaps, tmp_path)
    first = next(n for n, line in enumerate(gaps.splitlines(), 1) if "NotImplementedError" in line)
    assert f"mine.py: line {first}: this gap is still open: step 1: " in said


def test_a_crash_is_one_line_with_the_learners_own_line(tmp_path):
    text = changed("00", "y = self.base(x)", "y = self.base(x[:, 1:])")
    line = text[: text.index("x[:, 1:]")].count("\n") + 1
    assert f"mine.py: line {line}: RuntimeError: " in said_of("00", text, tmp_path)


@pytest.mark.parametrize("in_the_file", [False, True])
def test_a_file_of_the_projects_that_cannot_be_read_is_no_fault_of_the_learners(
    in_the_file, monkeypatch, tmp_path
):
    def load():
        with of_the_project("do this"):
            raise UserError("data/some.parquet: damaged")

    monkeypatch.setattr(material, "load", load)
    trial.loaded.cache_clear()
    path = tmp_path / "mine.py"
    asked = "from minituner.labs import material\nmaterial.load()\n"
    path.write_text(solution("02") + asked * in_the_file, encoding="utf-8")
    with pytest.raises(UserError) as error:
        checking.check("02", path)
    said = "this is a file of the project's and no fault of your code; do this"
    assert str(error.value) == f"data/some.parquet: damaged; {said}"


def test_a_lab_that_needs_a_checkout_and_has_none_is_no_fault_of_the_learners(monkeypatch):
    def load():
        checkout.need("data/")

    monkeypatch.setattr(checkout, "is_here", lambda: False)
    monkeypatch.setattr(material, "load", load)
    trial.loaded.cache_clear()
    with pytest.raises(UserError) as error:
        checking.check("02", SOLUTIONS / f"{checking.lab_name('02')}.py")
    assert str(error.value).startswith("data/: not part of the installed package; ")


def test_an_answer_that_cannot_be_used_is_no_traceback_of_ours(tmp_path):
    text = changed("01", "return embeddings + config.n_layer * block + 2 * d", "return 'many'")
    assert "'many', not a number" in said_of("01", text, tmp_path)
    text = changed("00", "return self\n", "return None\n")
    assert "merge_ must return the layer" in said_of("00", text, tmp_path)
    text = changed("00", "return y + self", "y + self")
    assert "is NoneType, not a tensor; is a `return` missing?" in said_of("00", text, tmp_path)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("def broken(:\n", "line 1: invalid syntax"),
        ("import torch\nimport torc\n", "line 2: ModuleNotFoundError"),
        ("import sys\nsys.exit(0)\n", "line 2: SystemExit"),
        ("x = 1\n", "there is no `LoRALinear`; keep the names"),
    ],
)
def test_a_file_that_does_not_run_is_told_where(text, expected, tmp_path):
    assert expected in said_of("00", text, tmp_path)


def as_notebook(*codes):
    return json.dumps({"cells": [{"cell_type": "code", "source": [code]} for code in codes]})


def test_a_notebook_is_checked_and_told_the_cell(tmp_path):
    text = as_notebook("%matplotlib inline\nimport torch", "1 / 0")
    said = said_of("00", text, tmp_path, "mine.ipynb")
    assert "mine.ipynb: code cell 2: line 1: ZeroDivisionError" in said
    assert "not a notebook" in said_of("00", "[1]", tmp_path, "mine.ipynb")


def test_what_a_file_shows_is_not_run_by_its_check(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(solution("00"), encoding="utf-8")
    checking.check("00", path)
    said = capsys.readouterr().out
    assert said.count(": right\n") == 6 and "All 6 steps of lab 00 are right." in said
    assert "A fresh layer gives" not in said


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("07", "mine.py"), "LAB: '07': no such lab; choose 00, 01, 02, 03"),
        (("00", "no.py"), "no.py: no such file; name the file that you wrote"),
    ],
)
def test_a_lab_or_file_that_is_not_there_is_one_line(arguments, expected):
    with pytest.raises(UserError, match=expected):
        call("check", *arguments)


def test_the_command_without_a_file_checks_the_labs_own(monkeypatch):
    asked = []
    monkeypatch.setattr(checking, "check", lambda *arguments: asked.append(arguments))
    call("check", "02")
    assert asked == [("02", None)] and command.EXAMPLES


@pytest.mark.parametrize(
    "answer, right, what, expected",
    [
        (-12.501212358474731, -13.0, "the sum", "the sum is -12.5012; right would be -13"),
        (204_993, 204_992, "the bytes", "the bytes are 204993; right would be 204992"),
        (None, 1, "targets", "targets are None, not a number; is a `return` missing?"),
        (torch.ones(1), 1.0, "the loss", "the loss has the shape (1,), not ()"),
        (torch.ones(2), torch.zeros(3), "the codes", "the codes have the shape (2,), not (3,)"),
        (
            torch.tensor([250, 3], dtype=torch.uint8),
            torch.tensor([252, 3], dtype=torch.uint8),
            "the codes",
            "the codes are wrong: the largest difference is 2",
        ),
        (torch.tensor([0.0, 1 / 3]), torch.zeros(2), "the bias", "the bias is wrong: the largest "
         "difference is 0.333333"),
        (torch.tensor([float("nan")]), torch.zeros(1), "ids", "ids hold NaN or infinity"),
    ],
)  # fmt: skip
def test_what_is_wrong_without_a_name_is_said_in_words_that_agree(answer, right, what, expected):
    with pytest.raises(Wrong) as error:
        checking.tell(answer, right, {}, what)
    assert (error.value.mistake, error.value.more) == ("", expected)


def test_a_mistake_has_to_fit_every_input():
    told = [({"one": 3, "two": 3}, 3), ({"one": 5, "two: alike": 0, "two": 6}, 6)]
    with pytest.raises(Wrong) as error:
        checking.tell_all(Case(answer, 1, wrong, "it") for wrong, answer in told)
    assert error.value.mistake == "two"
    told[1] = (told[1][0], 7)
    with pytest.raises(Wrong) as error:
        checking.tell_all(Case(answer, 1, wrong, "it") for wrong, answer in told)
    assert (error.value.mistake, error.value.more) == ("", "it is 3; right would be 1")


def test_an_error_that_comes_after_a_wrong_answer_does_not_hide_what_is_wrong():
    def cases(answer):
        yield Case(answer, 1, {"two": 2}, "it")
        raise ZeroDivisionError

    with pytest.raises(Wrong, match="two"):
        checking.tell_all(cases(2))
    with pytest.raises(ZeroDivisionError):
        checking.tell_all(cases(1))
