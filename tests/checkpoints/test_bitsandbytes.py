"""NF4 layers are read and written under bitsandbytes' names, and nothing that does not fit is."""

import copy
import json

import pytest
import torch
import torch.nn as nn

from minituner import nf4, qlora
from minituner.checkpoints import bitsandbytes
from minituner.checkpoints.bitsandbytes import state_dict_of, tensors_of
from minituner.nf4 import NF4Linear


def layer(double_quant=False, seed=0):
    linear = nn.Linear(96, 40)
    with torch.no_grad():
        draw = torch.Generator().manual_seed(seed)
        linear.weight.copy_(0.02 * torch.randn(40, 96, generator=draw))
    return NF4Linear.from_linear(linear, 64, double_quant)


@pytest.mark.parametrize("double_quant", [False, True])
def test_a_layer_round_trips_under_the_names_that_others_read(double_quant):
    quantized = layer(double_quant)
    tensors = tensors_of(quantized)
    names = {"weight", "bias", "weight.absmax", "weight.quant_map"}
    names.add("weight.quant_state.bitsandbytes__nf4")
    if double_quant:
        names |= {"weight.nested_absmax", "weight.nested_quant_map"}
    assert tensors.keys() == names
    other = NF4Linear.from_linear(nn.Linear(96, 40), 64, double_quant)
    other.load_state_dict(state_dict_of(tensors, other))
    assert other.quant_state.offset == quantized.quant_state.offset
    x = torch.randn(2, 96)
    assert torch.equal(other(x), quantized(x))


@pytest.mark.parametrize("double_quant", [False, True])
def test_a_model_round_trips_with_its_float_tensors_as_they_are(model, double_quant):
    other = copy.deepcopy(model)
    scheme = f"nf4_per_group_64{'_double' if double_quant else ''}"
    qlora.wrap_minigpt_qlora(model, r=2, quant_scheme=scheme)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    qlora.wrap_minigpt_qlora(other, r=2, quant_scheme=scheme)
    state, tensors = model.state_dict(), tensors_of(model)
    packed = [name for name, m in model.named_modules() if isinstance(m, NF4Linear)]
    assert len(packed) == 12
    of_layers = {name for name in state if name.startswith(tuple(f"{p}." for p in packed))}
    for name in state.keys() - of_layers:
        assert tensors[name] is state[name] or torch.equal(tensors[name], state[name])
    other.load_state_dict(state_dict_of(tensors, other), strict=True)
    ids = torch.randint(0, 10, (2, 12))
    assert torch.equal(other(ids), model(ids))


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("weight.absmax", lambda t: t[:-1]),
        ("weight", lambda t: t[:-1]),
        ("weight.quant_map", lambda t: t + 0.01),
        ("weight.quant_state.bitsandbytes__nf4", lambda t: t[:-3]),
    ],
)
def test_a_spoilt_tensor_is_refused(key, change):
    quantized = layer()
    tensors = tensors_of(quantized)
    tensors[key] = change(tensors[key])
    with pytest.raises(ValueError, match="weight"):
        state_dict_of(tensors, quantized)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("quant_type", "fp4", "weight: quant_state quant_type is fp4, expected nf4"),
        ("blocksize", 128, "weight: quant_state blocksize is 128, expected 64"),
        ("shape", [96, 40], r"weight: quant_state shape is \[96, 40\], expected \[40, 96\]"),
        ("nested_offset", 1, "weight: quant_state nested_offset is 1, no number"),
        ("nested_offset", float("nan"), "weight: quant_state nested_offset is nan, no number"),
    ],
)
def test_a_quant_state_of_another_layer_is_refused(field, value, message):
    quantized = layer(double_quant=True)
    tensors = tensors_of(quantized)
    fields = json.loads(bytes(tensors[bitsandbytes.QUANT_STATE].tolist())) | {field: value}
    content = list(json.dumps(fields).encode())
    tensors[bitsandbytes.QUANT_STATE] = torch.tensor(content, dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        state_dict_of(tensors, quantized)


@pytest.mark.parametrize("key", ["weight", "weight.absmax", "weight.quant_map"])
def test_a_missing_part_is_named(key):
    quantized = layer()
    tensors = {name: tensor for name, tensor in tensors_of(quantized).items() if name != key}
    with pytest.raises(ValueError, match=f"Missing key.*'{key}'"):
        state_dict_of(tensors, quantized)


@pytest.mark.parametrize("double_quant", [False, True])
def test_what_is_written_is_what_bitsandbytes_itself_would_read(double_quant):
    functional = pytest.importorskip("bitsandbytes.functional")
    quantized = layer(double_quant)
    tensors = {k: v for k, v in tensors_of(quantized).items() if k.startswith("weight.")}
    state = functional.QuantState.from_dict(tensors, device=torch.device("cpu"))
    theirs = functional.dequantize_4bit(quantized.weight, state)
    assert torch.equal(theirs, nf4.dequantize(quantized.weight, quantized.quant_state))
