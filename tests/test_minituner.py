"""The course's own checks of the public names."""

import copy

import pytest
import torch

from minituner.budget import formula, shapes
from minituner.lora import LoRALinear, lora_layers, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from minituner.qlora import wrap_minigpt_qlora

VOCAB = "\n abcdefghijklmnopqrstuvwxyz:.I"


@pytest.fixture
def minigpt():
    torch.manual_seed(0)
    return MiniGPT(ModelConfig(vocab=VOCAB))


def some_ids():
    return torch.randint(0, len(VOCAB), (2, 16), generator=torch.Generator().manual_seed(1))


def test_identity_at_init(minigpt):
    before = minigpt(some_ids())
    assert torch.equal(wrap_minigpt_with_lora(minigpt, r=8, alpha=16.0)(some_ids()), before)


def test_gradients_on_a_and_b_only():
    layer = LoRALinear(torch.nn.Linear(64, 64), r=8, alpha=16.0, dropout=0.0, freeze_base=True)
    layer(torch.randn(3, 64)).sum().backward()
    assert layer.base.weight.grad is None and layer.base.bias.grad is None
    assert layer.lora_A.grad is not None and layer.lora_B.grad.abs().sum() > 0


def test_freeze_base_can_be_left_off():
    layer = LoRALinear(torch.nn.Linear(64, 64), freeze_base=False)
    layer(torch.randn(3, 64)).sum().backward()
    assert layer.base.weight.grad is not None


def test_merge_within_1e_5(minigpt):
    wrap_minigpt_with_lora(minigpt, r=8, alpha=16.0)
    for layer in lora_layers(minigpt).values():
        torch.nn.init.normal_(layer.lora_B, std=0.02)
    before = minigpt(some_ids())
    for layer in lora_layers(minigpt).values():
        layer.merge_()
    assert torch.allclose(minigpt(some_ids()), before, atol=1e-5)


def test_49152_weights_a_layer_in_full_and_9216_for_rank_8(minigpt):
    block = minigpt.blocks[0]
    full = sum(m.weight.numel() for m in block.modules() if isinstance(m, torch.nn.Linear))
    shape = shapes.of(minigpt.config)
    assert full == shape.linear_parameters() == 49_152
    wrap_minigpt_with_lora(minigpt, r=8, target_modules=formula.ALL_LINEARS)
    lora = sum(p.numel() for p in block.parameters() if p.requires_grad)
    assert lora == 9_216
    assert formula.adapter_parameters(shape, 8, formula.ALL_LINEARS) == 4 * 9_216


def test_qlora_agrees_with_lora_within_the_quantization_error(minigpt):
    quantized_base = wrap_minigpt_qlora(copy.deepcopy(minigpt), r=8, alpha=16.0)
    with torch.no_grad():
        alone = (quantized_base(some_ids()) - minigpt(some_ids())).abs().mean()
    lora = wrap_minigpt_with_lora(minigpt, r=8, alpha=16.0)
    for one, other in zip(
        lora_layers(lora).values(), lora_layers(quantized_base).values(), strict=True
    ):
        torch.nn.init.normal_(one.lora_B, std=0.02)
        other.lora_A.data, other.lora_B.data = one.lora_A.data, one.lora_B.data
    with torch.no_grad():
        together = (quantized_base(some_ids()) - lora(some_ids())).abs().mean()
    assert 0 < together < 1.25 * alone
