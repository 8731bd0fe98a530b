"""MiniGPT has the size and the properties of the paper it follows."""

import pytest
import torch

from minituner.compute import numerics
from minituner.foundation.errors import UserError
from minituner.model import MiniGPT, ModelConfig


def test_no_position_sees_a_later_one(model):
    ids = torch.randint(0, 10, (2, 12), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[:, 8:] = 1
    assert torch.allclose(model(ids)[:, :8], model(changed)[:, :8], atol=1e-6)


def test_the_head_is_the_embedding(model):
    assert not any("head" in name for name, _ in model.named_parameters())
    hidden = torch.randn(1, 1, 16)
    assert torch.allclose(model.logits(hidden), hidden @ model.tok_emb.weight.T, atol=1e-6)


def test_the_default_shape_has_about_a_fifth_of_a_million_parameters():
    model = MiniGPT(ModelConfig(vocab="".join(map(chr, range(32, 62)))))
    linears = 4 * (4 * 64 * 64 + 2 * 64 * 256)
    rest = 4 * (256 + 64 + 4 * 64) + 2 * 64 + (30 + 64) * 64
    assert sum(p.numel() for p in model.parameters()) == linears + rest


def test_equal_generators_give_equal_weights_whatever_was_drawn_before(config):
    one = MiniGPT(config, numerics.generator(0, "x"))
    torch.rand(7)
    two = MiniGPT(config, numerics.generator(0, "x"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_too_long_a_sentence_is_refused(model):
    with pytest.raises(UserError, match="65 symbols do not fit 64"):
        model(torch.zeros(1, 65, dtype=torch.int64))
