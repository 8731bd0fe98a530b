"""A merged model answers as base and adapter did, as a plain float model; 4 bits are refused."""

import pytest
import torch
import torch.nn as nn

from minituner import qlora
from minituner.checkpoints import checkpoint
from minituner.commands import merge
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from minituner.model import Linear
from minituner.workflow.cli import main


@pytest.fixture(params=["float", "nf4"])
def trained(request, base, tmp_path):
    """A float and an NF4 base, each with an adapter that was moved from its start."""
    folder = base
    if request.param == "nf4":
        folder = tmp_path / "nf4"
        qlora.quantize_checkpoint({"nf4": {"blocksize": 64, "double_quant": False}}, base, folder)
    model = wrap_minigpt_with_lora(checkpoint.load_model(folder), r=2)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_B)
    checkpoint.save_adapter(tmp_path / "adapter", model, folder)
    return request.param, folder, tmp_path / "adapter"


def test_the_merged_model_is_plain_and_answers_the_same(trained, tmp_path):
    kind, base, adapter = trained
    difference = merge.merge(base, adapter, tmp_path / "out", dequantize=kind == "nf4")
    merged = checkpoint.load_model(tmp_path / "out")
    before = checkpoint.load_adapter(adapter, checkpoint.load_model(base), base)
    ids = torch.arange(20).view(2, 10)
    assert torch.allclose(merged(ids), before(ids), atol=1e-4)
    assert not torch.equal(merged(ids), checkpoint.load_model(base)(ids))
    assert 0 <= difference < 1e-4
    kinds = {type(module) for module in merged.modules() if hasattr(module, "in_features")}
    assert kinds == {Linear}


def test_the_stated_difference_is_the_merges_own(trained, tmp_path, monkeypatch):
    kind, base, adapter = trained
    spoil = merge.merged_float_linear

    def spoilt(layer):
        linear = spoil(layer)
        linear.weight.data *= 1.5
        return linear

    monkeypatch.setattr(merge, "merged_float_linear", spoilt)
    assert merge.merge(base, adapter, tmp_path / "out", dequantize=True) > 1e-3


def test_four_bits_are_refused_with_reason_and_remedy(trained, tmp_path, capsys):
    kind, base, adapter = trained
    command = ["merge", "--base", base, "--adapter", adapter, "--out", tmp_path / "out"]
    status = main(list(map(str, command)))
    if kind == "float":
        assert status == 0 and "largest logit difference" in capsys.readouterr().out
    else:
        assert status == 2 and "--dequantize" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
        with pytest.raises(UserError, match="would lose the update"):
            merge.merge(base, adapter, tmp_path / "out")
