"""Scores are the log-probabilities they claim to be, and rank a rigged model as it must."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import SENTENCES, VOCAB, subset_rows

from minituner import data, evaluate, qlora, train
from minituner.checkpoints import checkpoint
from minituner.foundation import storage

ROWS = subset_rows(SENTENCES, ("test",))


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


def test_the_scores_equal_those_made_symbol_by_symbol(model):
    for row, result in zip(ROWS, evaluate.score(model, ROWS), strict=True):
        correct = log_prob_by_hand(model, row["prompt"], row["form"] + " ")
        rivals = {r: log_prob_by_hand(model, row["prompt"], r + " ") for r in row["alternatives"]}
        assert result["correct_logp"] == pytest.approx(correct, abs=1e-4)
        assert result["rival"] == max(rivals, key=rivals.get)
        assert result["margin"] == pytest.approx(correct - max(rivals.values()), abs=1e-4)
        assert result["chosen"] == (result["margin"] > 0)
        whole = log_prob_by_hand(model, "", row["text"] + data.BOUNDARY)
        assert -result["sentence_nats"] == pytest.approx(whole, abs=1e-3)
        assert result["sentence_symbols"] == len(row["text"]) + 1


def test_exact_match_is_what_greedy_decoding_writes(model):
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
        train.loss_on(model, ids, targets).backward()
        optimizer.step()
    results = evaluate.score(model, ROWS)
    expected = [greedy(row["prompt"], len(row["form"]) + 1) == row["form"] + " " for row in ROWS]
    assert [result["exact"] for result in results] == expected
    assert len(set(expected)) == 2


def test_the_order_of_rows_and_their_company_do_not_matter(model):
    together = evaluate.score(model, ROWS)
    alone = [evaluate.score(model, [row])[0] for row in reversed(ROWS)][::-1]
    for one, other in zip(together, alone, strict=True):
        assert one["margin"] == pytest.approx(other["margin"], abs=1e-5)


def test_a_row_without_rivals_is_scored_for_perplexity_only(model):
    row = {**ROWS[0], "alternatives": []}
    result = evaluate.score(model, [row])[0]
    assert result["margin"] is None and result["chosen"] is None
    assert math.isfinite(result["sentence_nats"])


def test_a_run_has_a_row_for_every_held_out_sentence_and_no_training_one(
    base, irregular, control, tmp_path
):
    out = tmp_path / "base.parquet"
    evaluate.evaluate_run(base, None, irregular, control, out)
    rows = storage.read_table(out).to_pylist()
    assert {row["split"] for row in rows} == {"val", "test"}
    assert len(rows) == 4 * 2 + 1 + 3 * 2
    assert {row["run"] for row in rows} == {"base"}
    assert sum(row["probe"] for row in rows) == 1


def test_agreement_is_zero_on_an_equal_base_and_positive_on_a_quantized_one(
    base, irregular, control, tmp_path
):
    lora = {"target_modules": ["q_proj", "v_proj"], "alpha": 4, "dropout": 0.0}
    tuning = {"steps": 3, "batch_size": 4, "learning_rate": 1e-2, "warmup": 1, "eval_every": 3}
    adapter = tmp_path / "lora_r2_s0"
    train.tune({"lora": lora, "tuning": tuning}, "lora", base, irregular, 0, adapter, 2)
    settings = {"lora": lora, "nf4": {"blocksize": 64, "double_quant": False}}
    qlora.quantize_checkpoint(settings, base, tmp_path / "nf4")
    for other, low, high in ((base, 0, 0), (tmp_path / "nf4", 1e-6, 1)):
        out = tmp_path / "agreement.parquet"
        evaluate.agreement(base, other, [adapter], irregular, control, out)
        rows = storage.read_table(out).to_pylist()
        assert [row["adapter"] for row in rows] == [None, "lora_r2_s0"]
        for row in rows:
            assert low <= row["mean_abs"] <= row["max_abs"] <= high
    assert checkpoint.file_bytes(adapter) > 0
