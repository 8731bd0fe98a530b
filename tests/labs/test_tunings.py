"""Labs 02 and 03: a fair alternative passes its step, and each wrong answer is told."""

import pytest
import torch

from minituner.labs import checking, lab_02_sweep, lab_03, lab_03_layers
from minituner.lora import wrap_minigpt_with_lora
from minituner.model import MiniGPT
from tests.labs.more_02_03 import FAIR, FOUL
from tests.labs.test_checking import changed


def built_on_nf4(work):
    """Step 6 of lab 03 on a base of random numbers, without the comparison of outputs."""
    base = MiniGPT(lab_03_layers.CONFIG, torch.Generator().manual_seed(0))
    lora = wrap_minigpt_with_lora(MiniGPT(base.config, torch.Generator().manual_seed(0)), 4, 8)
    lab_03.built(work.on_nf4, base, lora, 4, 8)
    lab_03.built(work.qlora, base, 4, 8)


ALONE = {"picture": lab_02_sweep.picture, "on NF4": built_on_nf4}  # parts that train nothing


def judged(tmp_path, lab, step, *replacements):
    """What a step says of the solution with texts replaced: "" if it is right."""
    path = tmp_path / "mine.py"
    path.write_text(changed(lab, *replacements), encoding="utf-8")
    check = ALONE.get(step) or checking.steps_of(lab)[step - 1].check
    try:
        check(checking.Work(path))
    except checking.Wrong as wrong:
        return wrong.mistake or wrong.more
    return ""


@pytest.mark.parametrize("name", FAIR)
def test_another_right_answer_is_right(name, tmp_path):
    assert judged(tmp_path, *FAIR[name]) == ""


@pytest.mark.parametrize("name", FOUL)
def test_a_wrong_answer_is_told_by_what_is_wrong(name, tmp_path):
    lab, step, expected, *replacements = FOUL[name]
    assert judged(tmp_path, lab, step, *replacements).startswith(expected)
