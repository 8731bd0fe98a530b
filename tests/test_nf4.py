"""NF4 is the paper's and bitsandbytes': codes, packing, errors within half a gap, nothing kept."""

from dataclasses import replace

import pytest
import torch
import torch.nn as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from minituner import compute, nf4
from minituner.foundation.errors import UserError

# Table of QLoRA's appendix E, with the digits that bitsandbytes 0.50 has of them.
PUBLISHED = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip


def weight(*shape, scale=0.02, seed=0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def half_gaps(w, blocksize=64):
    """For each weight the largest error allowed: half the gap around its code, times absmax."""
    code = nf4.code_values()
    blocks = nf4.blocks_of(w.flatten(), blocksize)
    absmax = blocks.abs().amax(1, keepdim=True)
    scaled = blocks / absmax.clamp(min=1e-38)
    above = torch.bucketize(scaled, code).clamp(1, 15)
    gaps = (code[above] - code[above - 1]) / 2 * absmax
    return gaps.flatten()[: w.numel()].view(w.shape)


def test_the_code_is_the_published_one_to_the_last_bit():
    assert torch.equal(nf4.code_values(), torch.tensor(PUBLISHED))


def test_the_first_value_of_a_pair_is_in_the_high_nibble():
    w = torch.zeros(64)
    w[0], w[1] = -1.0, 1.0
    packed, _ = nf4.quantize(w)
    assert packed[0, 0] == 0x0F and packed[1, 0] == 0x77


def test_every_code_value_comes_back_exactly():
    w = nf4.code_values().repeat(4) * 0.5
    assert torch.equal(nf4.dequantize(*nf4.quantize(w)), w)


def test_a_value_on_a_midpoint_takes_the_lower_code():
    code = nf4.code_values()
    w = torch.ones(64)
    w[:15] = (code[:-1] + code[1:]) / 2
    packed, _ = nf4.quantize(w)
    codes = torch.stack([packed[:, 0] >> 4, packed[:, 0] & 15], 1).flatten()[:15]
    assert codes.tolist() == list(range(15))


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 700),
    scale=st.sampled_from([1e-30, 1e-6, 1.0, 1e6, 1e30]),
    blocksize=st.sampled_from([64, 128]),
    seed=st.integers(0, 1000),
)
def test_the_error_stays_within_half_a_code_gap_of_absmax(n, scale, blocksize, seed):
    w = weight(n, scale=scale, seed=seed)
    error = (nf4.dequantize(*nf4.quantize(w, blocksize)) - w).abs()
    assert (error <= half_gaps(w, blocksize) * (1 + 1e-5)).all()


@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("shape", [(1,), (63,), (65,), (3, 5), (64, 64), (33, 130)])
def test_odd_shapes_keep_their_shape(shape, double_quant):
    w = weight(*shape)
    packed, state = nf4.quantize(w, 64, double_quant)
    assert packed.shape == ((w.numel() + 1) // 2, 1) and packed.dtype == torch.uint8
    assert nf4.dequantize(packed, state).shape == w.shape


def test_a_zero_block_stays_zero():
    w = torch.zeros(128)
    w[64:] = 1
    assert torch.equal(nf4.dequantize(*nf4.quantize(w)), w)


def test_a_non_contiguous_weight_is_read_in_its_own_order():
    w = weight(64, 32)
    for one, other in zip(nf4.quantize(w.T)[:1], nf4.quantize(w.T.contiguous())[:1], strict=True):
        assert torch.equal(one, other)


def test_parts_of_whole_blocks_are_quantized_and_unpacked_as_the_whole_is():
    w = weight(1000)
    packed, state = nf4.quantize(w)
    parts = [nf4.quantize(part) for part in w.split(128)]
    assert torch.equal(packed, torch.cat([codes for codes, _ in parts]))
    assert torch.equal(state.absmax, torch.cat([part_state.absmax for _, part_state in parts]))
    unpacked = torch.cat([nf4.dequantize(*part) for part in parts])
    assert torch.equal(nf4.dequantize(packed, state), unpacked)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_dtype_comes_back(dtype):
    w = weight(128).to(dtype)
    assert nf4.dequantize(*nf4.quantize(w)).dtype == dtype


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_refused(bad):
    w = weight(64)
    w[3] = bad
    with pytest.raises(UserError, match="NaN or infinity"):
        nf4.quantize(w)


def test_an_unusual_blocksize_is_refused():
    with pytest.raises(UserError, match="nf4.blocksize: 60"):
        nf4.quantize(weight(64), 60)


def test_double_quantization_moves_absmax_by_less_than_a_hundredth_of_its_spread():
    w = weight(256, 300)
    plain, double = nf4.quantize(w)[1], nf4.quantize(w, 64, True)[1]
    assert double.absmax.dtype == torch.uint8
    assert len(double.nested_absmax) == -(-len(plain.absmax) // 256)
    spread = (plain.absmax - plain.absmax.mean()).abs().max()
    assert (double.scales() - plain.absmax).abs().max() < 0.02 * spread


def linear_pair(bias=True, double_quant=False):
    linear = nn.Linear(96, 40, bias=bias)
    with torch.no_grad():
        linear.weight.copy_(weight(40, 96))
    quantized = nf4.NF4Linear.from_linear(linear, 64, double_quant)
    with torch.no_grad():
        linear.weight.copy_(quantized.dequantized())
    return linear, quantized


@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_input_gradients_are_the_dequantized_linears(bias, double_quant):
    linear, quantized = linear_pair(bias, double_quant)
    x = torch.randn(3, 7, 96)
    grads, outputs = [], []
    for layer in (linear, quantized):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        y.square().sum().backward()
        outputs.append(y)
        grads.append(leaf.grad)
    assert torch.allclose(*outputs, atol=1e-6) and torch.allclose(*grads, atol=1e-6)


def test_no_float_weight_stays_alive_between_forward_and_backward():
    _, quantized = linear_pair()
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t)
    with hooks:
        quantized(torch.randn(3, 96, requires_grad=True)).sum()
    assert {t.dtype for t in saved} == {torch.uint8}


def test_nothing_of_an_nf4_linear_is_trainable():
    assert not list(linear_pair()[1].parameters())


@pytest.mark.parametrize("double_quant", [False, True])
def test_a_state_dict_has_the_layers_own_names_and_round_trips(double_quant):
    _, quantized = linear_pair(double_quant=double_quant)
    state = quantized.state_dict()
    names = {"weight", "absmax", "bias"}
    assert state.keys() == names | ({"nested_absmax", "offset"} if double_quant else set())
    other = nf4.NF4Linear.from_linear(nn.Linear(96, 40), 64, double_quant)
    other.load_state_dict(state)
    x = torch.randn(2, 96)
    assert torch.equal(other(x), quantized(x))


@pytest.mark.parametrize("name", ["weight", "absmax"])
def test_a_state_dict_that_is_spoilt_or_lacks_a_part_is_refused(name):
    _, quantized = linear_pair()
    state = quantized.state_dict()
    with pytest.raises(RuntimeError, match=f"size mismatch for {name}"):
        quantized.load_state_dict(state | {name: state[name][:-1]})
    with pytest.raises(RuntimeError, match=f'Missing key.*"{name}"'):
        quantized.load_state_dict({key: state[key] for key in state.keys() - {name}})


@pytest.mark.parametrize("shape", [(1,), (64, 64), (33, 7), (256, 300)])
def test_codes_and_scales_are_those_of_bitsandbytes(shape):
    functional = pytest.importorskip("bitsandbytes.functional")
    w = weight(*shape)
    packed, state = nf4.quantize(w)
    theirs, their_state = functional.quantize_4bit(w, blocksize=64, quant_type="nf4")
    assert torch.equal(packed, theirs)
    assert torch.equal(state.absmax, their_state.absmax)
    their_weight = functional.dequantize_4bit(theirs, their_state)
    assert torch.equal(nf4.dequantize(packed, state), their_weight)


def test_double_quantization_has_the_map_offset_and_scales_of_bitsandbytes():
    functional = pytest.importorskip("bitsandbytes.functional")
    w = weight(256, 300)
    _, state = nf4.quantize(w, 64, True)
    _, theirs = functional.quantize_4bit(
        w, blocksize=64, quant_type="nf4", compress_statistics=True
    )
    assert torch.equal(nf4.dynamic_map(), theirs.state2.code)
    # Their mean, PyTorch's, depends on the CPU in its last bit; all that follows from it is theirs.
    assert state.offset == pytest.approx(float(theirs.offset), rel=2e-7)
    absmax = nf4.quantize(w)[1].absmax
    _, nested = nf4.nearest_dynamic(absmax - theirs.offset)
    assert torch.equal(nested, theirs.state2.absmax)
    # bitsandbytes' 8-bit CPU kernel rounds some values next to a midpoint the other way.
    apart = (state.absmax.int() - theirs.absmax.int()).abs()
    assert apart.max() <= 1 and apart.count_nonzero() <= 0.01 * len(apart)


SPOILT = {
    "codes too short": lambda packed, state: (packed[:-1], state),
    "codes too long": lambda packed, state: (torch.cat([packed, packed]), state),
    "codes of another dtype": lambda packed, state: (packed.int(), state),
    "one scale for all": lambda packed, state: (packed, replace(state, absmax=state.absmax[:1])),
    "too many scales": lambda packed, state: (packed, replace(state, absmax=torch.ones(99))),
}


@pytest.mark.parametrize("name", SPOILT)
def test_codes_and_scales_that_do_not_fit_the_shape_are_refused(name):
    spoilt = SPOILT[name](*nf4.quantize(torch.ones(8, 64)))
    for dequantize in (nf4.dequantize, compute.dequantize):
        with pytest.raises(ValueError, match="nf4"):
            dequantize(*spoilt)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_scales_stay_float32_whatever_a_module_is_cast_to(dtype):
    layer = nf4.NF4Linear.from_linear(nn.Linear(64, 8), double_quant=True)
    before = layer.dequantized()
    layer.to(dtype)
    assert layer.nested_absmax.dtype == layer.offset.dtype == torch.float32
    assert layer.weight.dtype == layer.absmax.dtype == torch.uint8
    assert torch.equal(layer.dequantized(), before)
    assert layer(torch.ones(2, 64, dtype=dtype)).dtype == dtype


def test_evenly_spaced_numbers_are_pytorchs():
    """On CPUs with fused multiply-adds, which all that PyTorch is fast on have."""
    for n in (2, 3, 9, 65):
        assert torch.allclose(nf4.evenly(0.1, 1.0, n), torch.linspace(0.1, 1.0, n), rtol=1e-7)
