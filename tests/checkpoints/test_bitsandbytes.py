"""NF4 layers are read and written under bitsandbytes' names, and nothing that does not fit is."""

import copy
import json

import pytest
import torch
import torch.nn as nn

from minituner import compute, nf4, qlora
from minituner.checkpoints import bitsandbytes
from minituner.checkpoints.bitsandbytes import state_dict_of, tensors_of
from minituner.checkpoints.models import load_model, load_tensors, save_tensors
from minituner.nf4 import NF4Linear
from tests.support.command import call

WHOLE = 128  # numbers of a row in whole blocks, which bitsandbytes' loop for AVX-512 asks for


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
        (
            "dtype",
            "float8",
            "weight: quant_state dtype is 'float8', expected float32 or float16 or",
        ),
        ("nested_blocksize", 128, "weight: quant_state nested_blocksize is 128, expected 256"),
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
    # As one row, since its loop for AVX-512 mixes up the scales of rows that end within a block.
    shape, state.shape = state.shape, torch.Size((1, state.shape.numel()))
    theirs = functional.dequantize_4bit(quantized.weight, state).view(shape)
    assert torch.equal(theirs, nf4.dequantize(quantized.weight, quantized.quant_state))


def linear4bit(blocksize, dtype, double_quant, storage=torch.uint8):
    """A layer that bitsandbytes quantized from weights of that dtype."""
    modules = pytest.importorskip("bitsandbytes.nn")
    weight = 0.02 * torch.randn(64, WHOLE, generator=torch.Generator().manual_seed(3))
    theirs = modules.Linear4bit(WHOLE, 64, bias=False)
    packed = modules.Params4bit(
        weight.to(dtype),
        requires_grad=False,
        blocksize=blocksize,
        compress_statistics=double_quant,
        quant_type="nf4",
        quant_storage=storage,
    )
    theirs.weight = packed.to("cpu")
    return theirs


@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("blocksize", [32, 64, 128])
def test_any_state_of_bitsandbytes_is_computed_as_it_does(blocksize, dtype, double_quant):
    theirs = linear4bit(blocksize, dtype, double_quant)
    ours = NF4Linear.from_linear(nn.Linear(WHOLE, 64, bias=False), blocksize, double_quant)
    ours.load_state_dict(state_dict_of(dict(theirs.state_dict()), ours))
    x = torch.randn(2, 5, WHOLE, generator=torch.Generator().manual_seed(4)).requires_grad_()
    made = [
        (layer(x), torch.autograd.grad(layer(x).square().sum(), x)[0]) for layer in (ours, theirs)
    ]
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(*made, strict=True))
    functional = pytest.importorskip("bitsandbytes.functional")
    expected = functional.dequantize_4bit(theirs.weight, theirs.weight.quant_state)
    weight = nf4.dequantize(ours.weight, ours.quant_state)
    assert weight.dtype == dtype and torch.allclose(weight, expected, rtol=1e-6)
    again = tensors_of(ours)[bitsandbytes.QUANT_STATE]
    assert json.loads(bytes(again.tolist()))["dtype"] == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("storage", [torch.bfloat16, torch.float32])
def test_codes_kept_as_the_bytes_of_another_dtype_are_the_same_codes(storage):
    stored = dict(linear4bit(64, torch.bfloat16, True, storage).state_dict())
    assert stored["weight"].dtype == storage
    ours = NF4Linear.from_linear(nn.Linear(WHOLE, 64, bias=False), 64, True)
    ours.load_state_dict(state_dict_of(stored, ours))
    assert torch.equal(ours.weight, linear4bit(64, torch.bfloat16, True).weight)


def test_scales_in_half_precision_are_read_as_bitsandbytes_reads_them():
    theirs = linear4bit(64, torch.bfloat16, False)
    theirs.weight.quant_state.absmax = theirs.weight.quant_state.absmax.bfloat16()
    ours = NF4Linear.from_linear(nn.Linear(WHOLE, 64, bias=False))
    ours.load_state_dict(state_dict_of(dict(theirs.state_dict()), ours))
    x = torch.randn(3, WHOLE)
    assert torch.allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-6)


def test_a_model_with_such_layers_is_read_from_its_files(base, tmp_path):
    given = {"nf4": {"blocksize": 32, "double_quant": False}}
    call("quantize", given=given, base=base, out=tmp_path / "nf4")
    path = tmp_path / "nf4" / "model.safetensors"
    expected, tensors = load_model(tmp_path / "nf4"), load_tensors(path)
    for name, tensor in tensors.items():
        if name.endswith("bitsandbytes__nf4"):
            text = bytes(tensor.tolist()).replace(b'"float32"', b'"bfloat16"')
            tensors[name] = torch.tensor(list(text), dtype=torch.uint8)
            codes = name.removesuffix(".quant_state.bitsandbytes__nf4")
            tensors[codes] = tensors[codes].flatten().view(torch.bfloat16)[:, None]
    path.unlink()
    save_tensors(path, tensors)
    loaded, ids = load_model(tmp_path / "nf4"), torch.arange(20).view(2, 10)
    assert {m.dtype for m in loaded.modules() if isinstance(m, NF4Linear)} == {torch.bfloat16}
    assert torch.equal(loaded(ids), expected(ids))
    assert torch.equal(compute.accelerate(loaded)(ids), expected(ids))
