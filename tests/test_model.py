"""MiniGPT has the size and the properties of the paper it follows."""

import pytest
import torch

from minituner import compute
from minituner.foundation import seeds
from minituner.foundation.errors import UserError
from minituner.model import IGNORE, MiniGPT, ModelConfig


def test_no_position_sees_a_later_one(model):
    ids = torch.randint(0, 10, (2, 12), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[:, 8:] = 1
    assert torch.allclose(model(ids)[:, :8], model(changed)[:, :8], atol=1e-6)


def test_the_head_is_the_embedding(model):
    assert not any("head" in name for name, _ in model.named_parameters())
    hidden = []
    model.ln_f.register_forward_hook(lambda module, inputs, output: hidden.append(output))
    logits = model(torch.randint(0, 10, (2, 12)))
    assert logits.shape == (2, 12, model.config.vocab_size)
    assert torch.allclose(logits, hidden[0] @ model.tok_emb.weight.T, atol=1e-6)


def test_the_default_shape_has_about_a_fifth_of_a_million_parameters():
    model = MiniGPT(ModelConfig(vocab="".join(map(chr, range(32, 62)))))
    linears = 4 * (4 * 64 * 64 + 2 * 64 * 256)
    others = 4 * (256 + 64 + 4 * 64) + 2 * 64 + (30 + 64) * 64
    assert sum(p.numel() for p in model.parameters()) == linears + others


def test_equal_generators_give_equal_weights_whatever_was_drawn_before(config):
    one = MiniGPT(config, compute.generator(0, "x"))
    torch.rand(7)
    two = MiniGPT(config, compute.generator(0, "x"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_too_long_a_sentence_is_refused(model):
    with pytest.raises(UserError, match="65 symbols do not fit 64"):
        model(torch.zeros(1, 65, dtype=torch.int64))


def test_the_loss_is_the_mean_over_the_targets_that_count(model):
    ids = torch.randint(0, 10, (3, 12), generator=torch.Generator().manual_seed(0))
    targets = ids.roll(-1, 1)
    targets[0, :9] = targets[2, 5:] = IGNORE
    counted = targets != IGNORE
    log_probs = model(ids).log_softmax(-1)[counted]
    expected = -log_probs.gather(1, targets[counted][:, None]).mean()
    assert torch.allclose(model.loss(ids, targets), expected, atol=1e-6)


def test_numpys_generator_draws_the_weights_too(config):
    weights = [MiniGPT(config, seeds.generator(3, "init")).tok_emb.weight for _ in range(2)]
    assert torch.equal(*weights)
    assert float(weights[0].detach().std()) == pytest.approx(0.02, rel=0.2)
