"""QLoRA: LoRA on packed weights trains the adapter only; merges go to floats only."""

import pytest
import torch

from minituner import nf4, qlora
from minituner.checkpoints.models import load_model
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, trainable_parameters
from minituner.qlora import wrap_minigpt_qlora
from tests.support.command import call
from tests.support.runs import NF4


def ids():
    return torch.randint(0, 20, (2, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(base, tmp_path):
    """The base in NF4, as `minituner quantize` writes it."""
    call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "nf4")
    return tmp_path / "nf4"


def test_only_the_adapter_is_trainable_on_packed_weights(model):
    wrap_minigpt_qlora(model, r=2)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(trainable_parameters(model)) == len(names) == 8
    assert all("lora_" in name for name in names)


def test_all_linear_on_packed_weights_is_every_packed_linear(model):
    wrap_minigpt_qlora(model, r=2, target_modules="all-linear")
    layers = lora_layers(model).values()
    assert len(layers) == 12 and {type(layer.base) for layer in layers} == {nf4.NF4Linear}


def test_a_fresh_qlora_wrap_is_the_quantized_model_exactly(folder, model):
    wrap_minigpt_qlora(model, r=2)
    assert torch.equal(model(ids()), load_model(folder)(ids()))


def test_wrapping_a_model_that_is_packed_already_keeps_its_codes(folder):
    model = load_model(folder)
    before = model(ids())
    assert torch.equal(wrap_minigpt_qlora(model, r=2)(ids()), before)


@pytest.mark.parametrize("scheme", ["int8", "nf4", "nf4_per_group_", "nf4_per_group_60", "fp4"])
def test_an_unknown_scheme_is_refused(model, scheme):
    with pytest.raises(UserError, match="nf4_per_group|blocksize"):
        wrap_minigpt_qlora(model, quant_scheme=scheme)


def test_merging_goes_to_floats_by_name_and_keeps_the_outputs(model):
    wrap_minigpt_qlora(model, r=2)
    layer = next(iter(lora_layers(model).values()))
    torch.nn.init.normal_(layer.lora_B)
    x = torch.randn(3, 16)
    merged = qlora.merged_float_linear(layer)
    assert torch.allclose(merged(x), layer(x), atol=1e-6)
    with pytest.raises(UserError, match="merged_float_linear"):
        layer.merge_()


def test_every_linear_of_the_blocks_is_packed_and_nothing_else(model):
    wrap_minigpt_qlora(model, r=2)
    packed = [name for name, m in model.named_modules() if isinstance(m, nf4.NF4Linear)]
    assert len(packed) == 2 * 6
    assert all(name.startswith("blocks.") for name in packed)
    assert not qlora.block_linears(model)


def with_nan(model):
    model.blocks[1].mlp.fc2.weight.data[0, 0] = float("nan")


@pytest.mark.parametrize(
    ("options", "spoil"),
    [
        ({"target_modules": ["nope"]}, None),
        ({"r": 17}, None),
        ({"dropout": 1.0}, None),
        ({"quant_scheme": "nf4_per_group_63"}, None),
        ({}, with_nan),
    ],
)
def test_a_wrap_that_fails_leaves_the_model_as_it_was(model, options, spoil):
    if spoil:
        spoil(model)
    names, modules = list(model.state_dict()), list(model.modules())
    with pytest.raises((ValueError, UserError)):
        wrap_minigpt_qlora(model, **{"r": 2} | options)
    assert (list(model.state_dict()), list(model.modules())) == (names, modules)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_name_that_is_no_linear_quantizes_nothing(model):
    names = [*qlora.block_linears(model), "ln_f"]
    with pytest.raises(UserError, match="ln_f"):
        qlora.replace_linears(model, names)
    assert not any(isinstance(module, nf4.NF4Linear) for module in model.modules())
