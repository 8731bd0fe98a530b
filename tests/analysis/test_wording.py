"""A number is written in one way for each metric, whatever page it is on."""

import pytest

from minituner.analysis.wording import LEVELS, SHARES, Format, label, typographic
from minituner.foundation.errors import UserError
from studies.results import STUDIED


@pytest.mark.parametrize(
    ("form", "x", "number", "value"),
    [
        (Format(1), 2.25, "2.2", "2.2"),
        (Format(2, 100, " %"), 0.0123, "1.23", "1.23 %"),
        (Format(1, 100, " points", "+"), 0.25, "+25.0", "+25.0 points"),
        (Format(1, 100, " points", "+"), -0.25, "-25.0", "-25.0 points"),
    ],
)
def test_a_number_has_its_digits_factor_and_sign_and_its_unit_if_asked(form, x, number, value):
    assert form.number(x) == number and form.value(x) == value


def test_an_interval_has_its_unit_once_or_at_each_number():
    row = {"value": 0.015, "low": -0.013, "high": 0.017}
    drift = Format(1, 100, " %", "+")
    assert drift.interval(row) == "+1.5 % [-1.3, +1.7]"
    assert drift.interval_with_units(row) == "+1.5 % [-1.3 %, +1.7 %]"


@pytest.mark.parametrize(
    "metric, row, expected",
    [
        ("accuracy", (0.984, 0.97, 0.996), "98.4 % [97.0, 99.6]"),
        ("accuracy_gain", (0.6766, 0.6, 0.7), "+67.7 [+60.0, +70.0]"),
        ("perplexity_drift", (-0.001, -0.002, 0.0), "-0.10 % [-0.20, +0.00]"),
        ("margin", (2.254, 2.0, 2.5), "2.25 [2.00, 2.50]"),
    ],
)
def test_a_figure_reads_with_its_unit_and_its_interval(metric, row, expected):
    fields = dict(zip(("value", "low", "high"), row, strict=True))
    assert LEVELS[metric].interval(fields) == expected


def test_every_share_of_right_answers_is_shown_in_per_cent_wherever_it_is_shown():
    assert all(LEVELS[metric].unit == " %" for metric in SHARES & LEVELS.keys())
    assert all(form.sign == "+" for *_, form in STUDIED.values())


def test_a_minus_is_one_and_no_line_breaks_before_a_per_cent_sign():
    assert typographic("-1.5 % of -2") == "−1.5\u00a0% of −2"


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("base", "base"),
        ("nf4", "NF4 base"),
        ("full", "full fine-tuning"),
        ("full_s1", "full fine-tuning"),
        ("lora_r8", "LoRA r=8"),
        ("qlora_r16_s0", "QLoRA r=16"),
    ],
)
def test_a_run_or_group_has_a_name_for_people(unit, name):
    assert label(unit) == name
    assert label(unit, " = ") == name.replace("=", " = ")


def test_what_is_no_run_has_no_name():
    with pytest.raises(UserError, match="not a run's name"):
        label("mine")
