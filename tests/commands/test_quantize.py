"""Quantizing puts every Linear of the blocks in NF4 and nothing else, the same way every time."""

import json

import pytest
import torch

from minituner import nf4
from minituner.checkpoints.models import load_model, load_tensors
from minituner.foundation.errors import UserError
from tests.support.command import call
from tests.support.runs import NF4


def ids():
    return torch.randint(0, 20, (2, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(base, tmp_path):
    """The base in NF4."""
    call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "nf4")
    return tmp_path / "nf4"


def test_every_linear_of_the_blocks_is_packed_and_the_rest_untouched(folder, model):
    loaded = load_model(folder)
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
    call("quantize", given=settings, base=base, out=tmp_path / "q")
    tensors = load_tensors(tmp_path / "q" / "model.safetensors")
    assert tensors["blocks.0.mlp.fc1.weight"].shape == (32 * 16 // 2, 1)
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    assert config["quantization"]["double_quant"] is double_quant
    one, two = load_model(tmp_path / "q"), load_model(tmp_path / "q")
    assert torch.equal(one(ids()), two(ids()))


def test_quantizing_twice_gives_the_same_bytes(base, folder, tmp_path):
    call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "again")
    name = "model.safetensors"
    assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_quantizing_a_quantized_model_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="in NF4 already"):
        call("quantize", given={"nf4": NF4}, base=folder, out=tmp_path / "again")


def test_a_truncated_nf4_base_is_named(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="truncated"):
        load_model(folder)
