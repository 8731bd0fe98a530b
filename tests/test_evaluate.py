"""Scores are the log-probabilities they claim to be, and rank a rigged model as it must."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F

from minituner import compute, data, evaluate
from minituner.model import MiniGPT
from tests.support.sentences import SENTENCES, VOCAB, subset_rows

ROWS = subset_rows(SENTENCES, ("test",))


@pytest.fixture(params=["textbook", "compute"])
def score(request, model):
    """`score` of the model, one forward pass a candidate or all in one."""
    if request.param == "compute":
        return compute.accelerate(model).score
    return functools.partial(evaluate.score, model)


@torch.no_grad()
def log_prob_by_hand(model, prompt, continuation):
    """One symbol at a time, each from its own forward pass."""
    total = 0.0
    text = data.BOUNDARY + prompt
    for symbol in continuation:
        logits = model(torch.tensor([data.encode(text, VOCAB)]))[0, -1]
        total += float(F.log_softmax(logits, dim=-1)[VOCAB.index(symbol)])
        text += symbol
    return total


def test_the_scores_equal_those_made_symbol_by_symbol(model, score):
    for row, result in zip(ROWS, evaluate.score_rows(score, ROWS), strict=True):
        correct = log_prob_by_hand(model, row["prompt"], row["form"] + " ")
        rivals = {r: log_prob_by_hand(model, row["prompt"], r + " ") for r in row["alternatives"]}
        assert result["correct_logp"] == pytest.approx(correct, abs=1e-4)
        assert result["rival"] == max(rivals, key=rivals.get)
        assert result["margin"] == pytest.approx(correct - max(rivals.values()), abs=1e-4)
        assert result["chosen"] == (result["margin"] > 0)
        whole = log_prob_by_hand(model, "", row["text"] + data.BOUNDARY)
        assert -result["sentence_nats"] == pytest.approx(whole, abs=1e-3)
        assert result["sentence_symbols"] == len(row["text"]) + 1


def test_exact_match_is_what_greedy_decoding_writes(model, score):
    def greedy(prompt, symbols):
        text = data.BOUNDARY + prompt
        for _ in range(symbols):
            logits = model(torch.tensor([data.encode(text, VOCAB)]))[0, -1]
            text += VOCAB[int(logits.argmax())]
        return text[1 + len(prompt) :]

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    ids, targets = data.batch([row["text"] for row in ROWS[:3]], VOCAB)
    for _ in range(60):  # learn some rows by heart, so that both outcomes occur
        optimizer.zero_grad()
        model.loss(ids, targets).backward()
        optimizer.step()
    results = evaluate.score_rows(score, ROWS)
    expected = [greedy(row["prompt"], len(row["form"]) + 1) == row["form"] + " " for row in ROWS]
    assert [result["exact"] for result in results] == expected
    assert len(set(expected)) == 2


def test_exact_match_takes_each_symbol_of_the_form_and_the_one_that_closes_it():
    row = {**ROWS[0], "alternatives": []}
    form = range(len(row["prompt"]), len(row["prompt"]) + len(row["form"]) + 1)
    for wrong in range(len(row["text"]) + 1):
        likeliest = torch.arange(len(row["text"]) + 1)[None] != wrong
        scores = torch.zeros(likeliest.shape, dtype=torch.float64), likeliest
        (result,) = evaluate.score_rows(lambda prompts, forms, made=scores: made, [row])
        assert result["exact"] == (wrong not in form), wrong


def test_the_order_of_rows_and_their_company_do_not_matter(score):
    together = evaluate.score_rows(score, ROWS)
    alone = [evaluate.score_rows(score, [row])[0] for row in reversed(ROWS)][::-1]
    for one, other in zip(together, alone, strict=True):
        assert one["margin"] == pytest.approx(other["margin"], abs=1e-5)


def test_a_row_without_rivals_is_scored_for_perplexity_only(score):
    row = {**ROWS[0], "alternatives": []}
    result = evaluate.score_rows(score, [row])[0]
    assert result["margin"] is None and result["chosen"] is None
    assert math.isfinite(result["sentence_nats"])


def test_the_difference_of_logits_is_the_one_made_sentence_by_sentence(model, config):
    other, texts = MiniGPT(config, compute.generator(1, "test")), [row["text"] for row in ROWS]
    one, two = (evaluate.logits(m, texts) for m in (model, other))
    assert set(evaluate.logit_difference(one, one).values()) == {0.0}
    with torch.no_grad():
        batches = [data.batch([text], VOCAB)[0] for text in texts]
        first, second = (torch.cat([m(ids)[0] for ids in batches]).double() for m in (model, other))
    difference = evaluate.logit_difference(one, two)
    assert difference["mean_abs"] == pytest.approx(float((second - first).abs().mean()), rel=1e-5)
    assert difference["max_abs"] == pytest.approx(float((second - first).abs().max()), rel=1e-5)
    relative = float((second - first).norm() / first.norm())
    assert difference["relative"] == pytest.approx(relative, rel=1e-5)
