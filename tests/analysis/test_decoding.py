"""What a model writes: its own likeliest symbols, and words with their true probabilities."""

import math

import pytest
import torch

from minituner import evaluate
from minituner.analysis import decoding
from minituner.foundation.errors import UserError

PROMPT = "go: yesterday she "


def test_the_greedy_text_takes_the_likeliest_symbol_each_time(model):
    text = decoding.greedy(model.eval(), PROMPT)
    assert text
    ids = decoding.encode_prompt(model, PROMPT + text)
    logits = model(torch.tensor([ids]))[0]
    start = len(PROMPT)
    assert logits[start : start + len(text)].argmax(-1).tolist() == ids[start + 1 :]


def test_words_come_likeliest_first_with_the_probability_that_evaluation_gives(model):
    words = decoding.next_words(model.eval(), PROMPT, 4)
    assert list(words.values()) == sorted(words.values(), reverse=True)
    for word, chance in words.items():
        forms = [f"{word}{end}" for end in decoding.ENDS[:2]]
        log_probs, _ = evaluate.score(model, [PROMPT] * 2, forms)
        assert chance <= sum(math.exp(float(row.sum())) for row in log_probs) + 1e-3
        assert chance > 0


def test_a_prompt_that_fills_the_context_is_refused_in_one_line(model):
    with pytest.raises(UserError, match="70 characters; use at most 63"):
        decoding.greedy(model, "a" * 70)


def test_a_character_that_the_base_lacks_is_named(model):
    with pytest.raises(UserError, match="does not know 'é'"):
        decoding.greedy(model, "é")
