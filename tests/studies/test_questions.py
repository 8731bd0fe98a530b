"""Each question's sentence follows its numbers, and the page has them all."""

import numpy as np
import pandas as pd
import pytest

from minituner.foundation import parquet, storage
from minituner.foundation.errors import UserError
from studies import evidence, page
from studies.questions import conventions, leave_out, length, methods
from studies.results import STUDIED, Scores
from studies.variants import CONVENTIONS, METHODS, TASKS, variants
from tests.analysis.made import STUDY
from tests.studies.test_results import scored
from tests.support.command import call

VERBS = ["go", "eat"]


def names(study):
    return [run.name for run in variants(study, STUDY, VERBS)]


def curve(folder, study, seed, margins):
    """Runs whose margin rises to a height of their own while drift rises to 2 %."""
    rows = [
        {"variant": name, "seed": seed, "step": step, "margin": height * step / 2,
         "accuracy": 0.5, "drift": 0.01 * step}
        for name, height in margins.items()
        for step in (0, 1, 2)
    ]  # fmt: skip
    parquet.write_rows(folder / f"curves_s{seed}.parquet", rows)


def project(folder):
    rows = [
        {"unit": unit, "metric": metric, "split": "test", "seeds": 2, "value": 0.1, "low": 0.05,
         "high": 0.2, "p": 0.01}
        for unit in ("base", "lora_r1", "lora_r2", "qlora_r1")
        for metric in ("accuracy", "accuracy_gain", "perplexity_drift", "control_accuracy",
                       "accuracy_over_lowest")
    ]  # fmt: skip
    parquet.write_frame(folder / "summary.parquet", pd.DataFrame(rows))
    storage.write_json(folder / "definition_of_done.json", {"criteria": [{"met": True}] * 5})


@pytest.fixture
def science(tmp_path):
    """A folder as the studies fill it; the middle rate is the best of every list."""
    folder = tmp_path / "science"
    best = {name: 2.0 for name in names(CONVENTIONS) if name.endswith(", 0.002")}
    for study in (TASKS, METHODS, CONVENTIONS, "targets", "subspace"):
        at = "end" if study == TASKS else "drift"
        for seed in range(2):
            right = {"base": 0.1} | dict.fromkeys(names(study), 0.9)
            path = scored(folder / study, seed, right, at)
            if study == METHODS:
                table = parquet.read_frame(path)
                again = table[table["variant"] != "base"].assign(at="margin")
                parquet.write_frame(path, pd.concat([table, again]))
            curve(folder / study, study, seed, {n: best.get(n, 1.0) for n in names(study)})
    runs = ["LoRA r=1", "LoRA r=2", "full fine-tuning"]
    right = {"base": 0.1} | {f"{run}{end}": 0.9 for run in runs for end in ("", ", scaled")}
    for seed in range(2):
        scored(folder / "intruders", seed, right)
        counts = [
            {"variant": run, "seed": seed, "layer": f"blocks.{i}", "intruders": i}
            for run in runs for i in range(2)
        ]  # fmt: skip
        parquet.write_rows(folder / "intruders" / f"curves_s{seed}.parquet", counts)
    lengths = [{"steps": n, "off": off, "val_loss": 1 / n} for n, off in ((1, 0.3), (2, 0.1))]
    parquet.write_rows(folder / "lengths.parquet", lengths)
    for name in ("base_s1", "forty_verbs"):
        project(folder / "projects" / name)
    return folder


def test_the_page_has_every_question_with_its_numbers_and_picture(science, tmp_path):
    target = tmp_path / "docs" / "science.md"
    call("studies", given=STUDY, science=science, out=tmp_path / "findings.parquet", page=target)
    text = target.read_text()
    assert text.count("\n## ") == text.count("![") == len(page.QUESTIONS)
    assert "nan" not in text
    for question in page.QUESTIONS:
        assert (target.with_suffix("") / f"{question.NAME}.png").stat().st_size > 5_000
    table = parquet.read_frame(tmp_path / "findings.parquet")
    assert (table["low"] <= table["high"]).all() and set(table["metric"]) <= set(STUDIED)


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ({"base": 0.1}, "A verb left out of tuning is repaired by"),
        ({"base": 0.1, "without_go": 0.4, "without_eat": 0.4}, "is repaired in part by"),
        ({"base": 0.9}, "A verb left out of tuning is not repaired by"),
        ({"base": 0.95, "without_go": 0.1, "without_eat": 0.1}, "left out of tuning is harmed by"),
    ],
)
def test_the_sentence_on_a_verb_left_out_follows_its_numbers(tmp_path, right, said):
    right = dict.fromkeys(("base", *names(TASKS)), 0.9) | right
    scores = Scores([scored(tmp_path, seed, right) for seed in range(4)], STUDY["evaluate"])
    made = evidence.Evidence(STUDY, {TASKS: scores}, {}, pd.DataFrame(), {})
    assert said in leave_out.answer(made)[1]


def test_a_best_rate_at_an_end_of_its_list_is_refused(science):
    for seed in range(2):
        low = {name: 2.0 if name.endswith(", 0.001") else 1.0 for name in names(CONVENTIONS)}
        curve(science / CONVENTIONS, CONVENTIONS, seed, low)
    with pytest.raises(UserError, match="fixed: the best rate at r = 1 is 0.001, at an end"):
        conventions.answer(evidence.read(science, STUDY))


def test_the_training_length_that_calibration_chooses_is_the_settings_or_refused(science):
    sentence = length.answer(evidence.read(science, STUDY))[1]
    assert "30.0 with 1 steps, 10.0 with 2 steps" in sentence
    other = STUDY | {"base": {"steps": 1}}
    with pytest.raises(UserError, match="base.steps: 1, but calibration chooses 2"):
        length.answer(evidence.read(science, other))


def test_the_shortest_length_is_chosen_beyond_which_none_buys_enough():
    table = pd.DataFrame({"steps": [1, 2, 3, 4], "off": [0.4, 0.2, 0.17, 0.16]})
    assert length.chosen(table, 0.05) == 2 and length.chosen(table, 0.02) == 3
    assert length.chosen(table, 0.3) == 1


def test_a_run_that_never_reaches_the_margin_is_named(science):
    path = science / METHODS / "s0.parquet"
    table = parquet.read_frame(path)
    late = (table["variant"] == "LoRA r=2") & (table["at"] == "margin")
    table.loc[late, "reached"] = False
    parquet.write_frame(path, table)
    sentence = methods.answer(evidence.read(science, STUDY))[1]
    assert "Not with every seed there: LoRA r=2." in sentence


def test_the_margin_on_validation_is_read_where_the_level_is_first_reached(science):
    made = evidence.read(science, STUDY)
    assert made.on_validation(METHODS, "LoRA r=1") == pytest.approx(0.5)
    assert np.isclose(made.on_validation(METHODS, "LoRA r=1", "margin"), 0.5)
