"""A merged model answers as base and adapter did, as a plain float model; 4 bits are refused."""

import re

import pytest
import torch
import torch.nn as nn

from minituner import qlora
from minituner.checkpoints.adapters import load_adapter, save_adapter
from minituner.checkpoints.models import load_model, load_tensors, save_model, save_tensors
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


def test_merging_into_its_own_inputs_is_refused_and_changes_nothing(trained, tmp_path):
    kind, base, adapter = trained
    (tmp_path / "link").symlink_to(base)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    for out, name in ((base, "base"), (tmp_path / "link", "base"), (adapter / ".", "adapter")):
        with pytest.raises(UserError, match=f"--out: .* is what --{name} names"):
            call("merge", base=base, adapter=adapter, out=out, dequantize=True)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}


@pytest.mark.parametrize("nf4", [NF4, {"blocksize": 32, "double_quant": True}])
def test_an_adapter_tuned_on_4_bits_is_said_with_what_its_float_base_changes(
    nf4, base, tmp_path, capsys, tried
):
    call("quantize", given={"nf4": nf4}, base=base, out=tmp_path / "nf4")
    model = wrap_minigpt_with_lora(load_model(tmp_path / "nf4"), r=2)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_B)
    save_adapter(tmp_path / "adapter", model, tmp_path / "nf4")
    call("merge", base=base, adapter=tmp_path / "adapter", out=tmp_path / "out")
    said = capsys.readouterr().out
    apart = float(re.search(r"was tuned on this base in NF4; .* up to (\S+) from", said)[1])
    ids = torch.arange(20).view(2, 10)
    merged, tuned = load_model(tmp_path / "out")(ids).detach(), model.eval()(ids).detach()
    assert 1e-3 < float((merged - tuned).abs().max()) <= 10 * apart
    assert difference(said) < 1e-4
    reports = "huggingface/peft#2105 unslothai/unsloth-zoo#810"
    tried("merging into the float base what was tuned on four bits", reports, "said, and how much")


def test_an_adapter_of_another_base_is_still_refused(trained, tmp_path, model):
    _, base, adapter = trained
    model.ln_f.bias.data += 1
    save_model(tmp_path / "other", model)
    with pytest.raises(UserError, match="revision: the adapter was trained on another base"):
        call("merge", base=tmp_path / "other", adapter=adapter, out=tmp_path / "out")


def changed(adapter, change):
    """Change an adapter's tensors by their names."""
    path = adapter / "adapter_model.safetensors"
    tensors = {name: change(name, tensor) for name, tensor in load_tensors(path).items()}
    path.unlink()
    save_tensors(path, tensors)


def test_a_layer_whose_b_is_zero_among_others_is_named(trained, tmp_path, capsys, tried):
    kind, base, adapter = trained
    untrained = "blocks.1.attn.v_proj"
    changed(adapter, lambda name, t: 0 * t if f"{untrained}.lora_B" in name else t)
    call("merge", base=base, adapter=adapter, out=tmp_path / "out", dequantize=True)
    said = capsys.readouterr().out
    assert f"{adapter}: {untrained}: lora_B is all zero" in said
    assert said.count("all zero") == 1
    reports = "huggingface/transformers#36594 huggingface/peft#1402"
    tried("a layer whose B is all zero", reports, "named")


def test_an_update_that_rounds_away_beside_large_weights_is_named(base, tmp_path, capsys, tried):
    large, model = "blocks.0.attn.q_proj", load_model(base)
    model.get_submodule(large).weight.data *= 1e6
    save_model(base, model)
    wrap_minigpt_with_lora(model, r=2)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_B, std=1e-2)
    save_adapter(tmp_path / "adapter", model, base)
    call("merge", base=base, adapter=tmp_path / "adapter", out=tmp_path / "out")
    said = capsys.readouterr().out
    assert re.search(rf"{base}: {large}: \d+% of the update rounds away beside its weights", said)
    assert said.count("rounds away") == 1
    merged = load_model(tmp_path / "out").get_submodule(large).weight.double()
    layer = lora_layers(model)[large]
    exact = layer.base.weight.double() + layer.delta_weight().double()
    lost = float((merged - exact).norm() / layer.delta_weight().norm())
    assert qlora.lost_by_merging(layer) == pytest.approx(lost, rel=0.05)
    reports = "huggingface/peft#1388 meta-pytorch/torchtune#1101"
    tried("an update that rounds away beside large weights", reports, "named, with the share")
