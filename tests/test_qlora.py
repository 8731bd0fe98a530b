"""QLoRA: every Linear of the blocks in NF4 and nothing else; merges go to floats only."""

import json

import pytest
import torch

from minituner import nf4, qlora
from minituner.checkpoints import checkpoint
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, trainable_parameters
from minituner.qlora import wrap_minigpt_qlora

SETTINGS = {"nf4": {"blocksize": 64, "double_quant": False}}


def ids():
    return torch.randint(0, 20, (2, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(base, tmp_path):
    qlora.quantize_checkpoint(SETTINGS, base, tmp_path / "nf4")
    return tmp_path / "nf4"


def test_every_linear_of_the_blocks_is_packed_and_the_rest_untouched(folder, model):
    loaded = checkpoint.load_model(folder)
    packed = [n for n, m in loaded.named_modules() if isinstance(m, nf4.NF4Linear)]
    assert len(packed) == 2 * 6
    assert torch.equal(loaded.tok_emb.weight, model.tok_emb.weight)
    assert torch.equal(loaded.blocks[0].ln1.weight, model.blocks[0].ln1.weight)
    for name in packed:
        expected = nf4.dequantize(*nf4.quantize(model.get_submodule(name).weight))
        assert torch.equal(loaded.get_submodule(name).dequantized(), expected)


@pytest.mark.parametrize("double_quant", [False, True])
def test_the_file_holds_two_codes_a_byte_and_round_trips(base, tmp_path, double_quant):
    settings = {"nf4": {"blocksize": 64, "double_quant": double_quant}}
    qlora.quantize_checkpoint(settings, base, tmp_path / "q")
    tensors = checkpoint.load_tensors(tmp_path / "q" / "model.safetensors")
    assert tensors["blocks.0.mlp.fc1.weight"].shape == (32 * 16 // 2, 1)
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    assert config["quantization"]["double_quant"] is double_quant
    one, two = checkpoint.load_model(tmp_path / "q"), checkpoint.load_model(tmp_path / "q")
    assert torch.equal(one(ids()), two(ids()))


def test_quantizing_twice_gives_the_same_bytes(base, folder, tmp_path):
    qlora.quantize_checkpoint(SETTINGS, base, tmp_path / "again")
    name = "model.safetensors"
    assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_quantizing_a_quantized_model_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="in NF4 already"):
        qlora.quantize_checkpoint(SETTINGS, folder, tmp_path / "again")


def test_only_the_adapter_is_trainable_on_packed_weights(model):
    wrap_minigpt_qlora(model, r=2)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(trainable_parameters(model)) == len(names) == 8
    assert all("lora_" in name for name in names)


def test_a_fresh_qlora_wrap_is_the_quantized_model_exactly(folder, model):
    wrap_minigpt_qlora(model, r=2)
    assert torch.equal(model(ids()), checkpoint.load_model(folder)(ids()))


def test_wrapping_a_model_that_is_packed_already_keeps_its_codes(folder):
    model = checkpoint.load_model(folder)
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


def test_a_truncated_nf4_base_is_named(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="truncated"):
        checkpoint.load_model(folder)
