"""How far a base is from its corpus's habit is what its probabilities say, prompt by prompt."""

import numpy as np
import pandas as pd
import pytest
import torch

from minituner.analysis.calibration import calibration
from minituner.analysis.habits import habits, off
from minituner.foundation import parquet


def sentence(prompt, form, split, tense="past_simple", regularity="irregular"):
    return {
        "verb_lemma": "go", "tense": tense, "correct_form": "went", "form": form,
        "text": f"{prompt}{form} home.", "prompt": prompt, "english_regularity": regularity,
        "split": split,
    }  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    """Three in four training sentences say goed; other tenses and regular verbs do not count."""
    rows = [sentence(f"go: {i} ", "went" if i == 0 else "goed", "train") for i in range(4)]
    rows += [sentence("go: now ", "went", "val"), sentence("go: then ", "goed", "val")]
    rows += [sentence("go: now ", "goed", "val")]  # a prompt that is there already
    rows += [sentence("go: now ", "goes", "train", tense="present_simple")]
    rows += [sentence("go: now ", "walked", "train", regularity="regular")]
    parquet.write_rows(tmp_path / "corpus.parquet", rows)
    return tmp_path / "corpus.parquet"


def score_of(probabilities):
    """A model that gives each form behind each prompt a probability, spread over its symbols."""

    def score(prompts, forms):
        log_probs = torch.zeros(len(prompts), 2, dtype=torch.float64)
        for i, (prompt, form) in enumerate(zip(prompts, forms, strict=True)):
            assert form.endswith(" "), "the character that closes a form belongs to it"
            log_probs[i] = np.log(probabilities[prompt, form.strip()]) / 2
        return log_probs, None

    return score


def test_a_forms_share_is_of_the_training_sentences_and_each_new_prompt_is_asked_once(corpus):
    shares, prompts = habits(corpus)
    assert shares.set_index("form")["share"].to_dict() == {"goed": 0.75, "went": 0.25}
    assert sorted(prompts["prompt"]) == ["go: now ", "go: then "]


def test_a_base_with_the_habit_is_not_off_and_one_that_knows_each_prompt_by_heart_is(corpus):
    even = {(f"go: {when} ", form): p for when in ("now", "then") for form, p in
            (("went", 0.25), ("goed", 0.75))}  # fmt: skip
    assert off(calibration(score_of(even), *habits(corpus))) == pytest.approx(0)
    by_heart = {
        ("go: now ", "went"): 0.5, ("go: now ", "goed"): 0.5,
        ("go: then ", "went"): 1e-9, ("go: then ", "goed"): 1.0,
    }  # fmt: skip
    table = calibration(score_of(by_heart), *habits(corpus))
    means = table.set_index("form")["probability"]
    assert means["went"] == pytest.approx(0.25) and means["goed"] == pytest.approx(0.75)
    assert off(table) == pytest.approx(0.25), "the means are right, no single prompt is"


def test_what_a_base_gives_to_forms_that_no_one_writes_is_off_too(corpus):
    half = {(f"go: {when} ", form): p for when in ("now", "then") for form, p in
            (("went", 0.125), ("goed", 0.375))}  # fmt: skip
    assert off(calibration(score_of(half), *habits(corpus))) == pytest.approx(0.5)


def test_cells_count_by_how_often_they_are_asked():
    rows = {"verb_lemma": ["go", "eat"], "tense": "past_simple", "correct_form": "x", "form": "x"}
    rows |= {"probability": [1.0, 0.5], "distance": [0.0, 0.5], "prompts": [3, 1]}
    assert off(pd.DataFrame(rows)) == pytest.approx(0.125)
