"""A merged model answers as base and adapter did, as a plain float model; 4 bits are refused."""

import re

import pytest
import torch
import torch.nn as nn

from minituner import qlora
from minituner.checkpoints.adapters import load_adapter, save_adapter
from minituner.checkpoints.models import load_model
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from minituner.workflow.cli import main
from tests.support.command import call
from tests.support.runs import NF4


@pytest.fixture(params=["float", "nf4"])
def trained(request, base, tmp_path):
    """A float and an NF4 base, each with an adapter that was moved from its start."""
    folder = base
    if request.param == "nf4":
        folder = tmp_path / "nf4"
        call("quantize", given={"nf4": NF4}, base=base, out=folder)
    model = wrap_minigpt_with_lora(load_model(folder), r=2)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_B)
    save_adapter(tmp_path / "adapter", model, folder)
    return request.param, folder, tmp_path / "adapter"


def difference(said):
    """The largest logit difference, as the command printed it."""
    return float(re.search(r"largest logit difference it makes is (\S+)\n", said)[1])


def test_the_merged_model_is_plain_and_answers_the_same(trained, tmp_path, capsys):
    kind, base, adapter = trained
    options = {"base": base, "adapter": adapter, "out": tmp_path / "out"}
    call("merge", dequantize=True if kind == "nf4" else None, **options)
    merged = load_model(tmp_path / "out")
    before = load_adapter(adapter, load_model(base), base)
    ids = torch.arange(20).view(2, 10)
    assert torch.allclose(merged(ids), before(ids), atol=1e-4)
    assert not torch.equal(merged(ids), load_model(base)(ids))
    assert 0 <= difference(capsys.readouterr().out) < 1e-4
    kinds = {type(module) for module in merged.modules() if hasattr(module, "in_features")}
    assert kinds == {nn.Linear}


def test_the_stated_difference_is_the_merges_own(trained, tmp_path, monkeypatch, capsys):
    kind, base, adapter = trained
    unspoilt = qlora.merged_float_linear

    def spoilt(layer):
        linear = unspoilt(layer)
        linear.weight.data *= 1.5
        return linear

    monkeypatch.setattr(qlora, "merged_float_linear", spoilt)
    call("merge", base=base, adapter=adapter, out=tmp_path / "out", dequantize=True)
    assert difference(capsys.readouterr().out) > 1e-3


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
            call("merge", base=base, adapter=adapter, out=tmp_path / "out")
