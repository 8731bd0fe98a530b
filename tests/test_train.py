"""Gradients of parts add up, the rate is scheduled, and what cannot be trained says so."""

import pytest
import torch

from minituner import compute, train
from minituner.foundation.errors import UserError
from minituner.model import IGNORE
from tests.support.runs import TUNING


@pytest.mark.parametrize("by_loops", [False, True])
@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_add_up_to_the_gradients_of_the_whole_batch(model, shards, by_loops):
    ids = torch.randint(0, 20, (4, 12), generator=torch.Generator().manual_seed(0))
    targets = ids.roll(-1, 1)
    targets[0, :9] = targets[3, 5:] = IGNORE  # sentences of unequal weight
    model.requires_grad_(True)
    parameters = list(model.parameters())
    trained = compute.accelerate(model) if by_loops else model
    loss = trained.loss(ids, targets)
    expected = torch.autograd.grad(loss, parameters)
    sharded = train.gradients(trained, parameters, (ids, targets), shards)
    assert sharded == pytest.approx(loss.item())
    for parameter, gradient in zip(parameters, expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_training_with_nothing_trainable_is_an_error(model):
    model.requires_grad_(False)
    with pytest.raises(UserError, match="no parameter is trainable"):
        train.fit(model, iter(()), [], TUNING)


def test_the_learning_rate_warms_up_and_decays_to_a_tenth():
    rates = [train.learning_rate_at(step, 100, 10, 1.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_the_textbook_trains_by_its_own_loss_and_torchs_optimizer(model):
    ids = torch.randint(0, 20, (4, 12), generator=torch.Generator().manual_seed(0))
    batch = ids, ids.roll(-1, 1)
    curve = train.fit(model, iter([batch] * TUNING["steps"]), [batch], TUNING)
    assert [row["step"] for row in curve] == [0, 4, 8]
    assert curve[-1]["val_loss"] < curve[0]["val_loss"] - 0.1


def test_whole_sentences_are_all_there_and_each_symbol_counts(monkeypatch):
    monkeypatch.setattr(train, "VALIDATED", 2)
    texts = ["go", "went", "gone"]
    batches = train.whole_sentences(texts, "\negnotw")
    assert [len(ids) for ids, _ in batches] == [2, 1]
    assert sum(train.counted(targets) for _, targets in batches) == len("".join(texts)) + 3
