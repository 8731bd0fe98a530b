"""Compiled products are PyTorch's: float, low-rank and NF4 weights, with their gradients."""

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner import compute, nf4
from minituner.compute import functions
from minituner.lora import LoRALinear

SHAPES = [(1, 1, 1), (5, 64, 1), (33, 1, 64), (272, 64, 256), (17, 8, 29)]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "into", "out"), SHAPES)
@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_gradients_are_those_of_torch(n, into, out, bias):
    results = []
    for function in (functions.product, F.linear):
        tensors = [
            randn(2, n, into),
            randn(out, into, seed=1),
            randn(out, seed=2) if bias else None,
        ]
        inputs = [t if t is None else t.requires_grad_() for t in tensors]
        y = function(*inputs)
        (y * randn(2, n, out, seed=3)).sum().backward()
        results.append([y.detach(), *(t.grad for t in inputs if t is not None)])
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_gradients_are_right_to_the_second_difference():
    x, w, b = (randn(*shape).requires_grad_() for shape in ((3, 4), (5, 4), (5,)))
    y = functions.product(x, w, b)
    (gx,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(gx, w.sum(0).expand(3, 4), atol=1e-6)  # a gradient that is not contiguous


def test_a_frozen_weight_keeps_no_input_alive():
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.shape) or t, lambda t: t
    )
    with hooks:
        functions.product(randn(7, 4).requires_grad_(), randn(5, 4), None)
    assert saved == [(5, 4)]


@pytest.mark.parametrize("kind", ["float", "low-rank", "NF4"])
def test_other_dtypes_go_to_torch(kind):
    layer = nn.Linear(4, 5, bias=kind != "float")
    if kind == "low-rank":
        layer = LoRALinear(layer, r=2)
        nn.init.normal_(layer.lora_B)
    elif kind == "NF4":
        layer = nf4.NF4Linear.from_linear(layer)
    layer, x = layer.double(), randn(3, 4).double()
    assert functions.linear(layer, x).dtype == torch.float64
    assert torch.equal(functions.linear(layer, x), layer(x))


@pytest.mark.parametrize("rank", [1, 3, 8, 20])
@pytest.mark.parametrize("shape", [(16, 24), (9, 20), (2, 7, 31)])
@pytest.mark.parametrize("x_is_trained", [False, True])
def test_a_low_rank_update_and_its_gradients_are_torchs(rank, shape, x_is_trained):
    width = 29
    inputs = [
        randn(*shape[:-1], width),
        randn(*shape, seed=1),
        randn(rank, shape[-1], seed=2),
        randn(width, rank, seed=3),
    ]
    ours = [t.clone().requires_grad_(i != 1 or x_is_trained) for i, t in enumerate(inputs)]
    theirs = [t.double().requires_grad_() for t in inputs]
    out = functions._LowRank.apply(*ours, 0.25)
    y, x, A, B = theirs
    expected = y + 0.25 * (x @ A.t() @ B.t())
    assert torch.allclose(out.double(), expected, atol=1e-5)
    grad = randn(*shape[:-1], width, seed=4)
    out.backward(grad)
    expected.backward(grad.double())
    for one, other in zip(ours, theirs, strict=True):
        if one.requires_grad:
            assert torch.allclose(one.grad.double(), other.grad, atol=1e-4)


def test_a_low_rank_update_takes_matrices_of_any_layout():
    y, x, A, B = randn(6, 9).t(), randn(5, 9).t(), randn(5, 2).t(), randn(2, 6).t()
    inputs = [t.requires_grad_() for t in (y, x, A, B)]
    out = functions._LowRank.apply(*inputs, 0.5)
    expected = y + 0.5 * (x @ A.t() @ B.t())
    assert torch.allclose(out, expected, atol=1e-5)
    grad = randn(6, 9, seed=1).t()
    ours, theirs = (torch.autograd.grad(t, inputs, grad) for t in (out, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("merged", [False, True])
def test_an_adapted_layer_is_the_textbooks_by_the_rooms_door(quantized, merged):
    base = nn.Linear(64, 48)
    layer = LoRALinear(nf4.NF4Linear.from_linear(base) if quantized else base, r=3, alpha=2.0)
    nn.init.normal_(layer.lora_B)
    layer.merged = merged
    x = randn(2, 7, 64).requires_grad_()
    trained = [x] if merged else [x, layer.lora_A, layer.lora_B]
    results = []
    for y in (compute.linear(layer, x), layer(x)):
        results.append((y, *torch.autograd.grad(y.square().sum(), trained)))
    for ours, textbooks in zip(*results, strict=True):
        assert torch.allclose(ours, textbooks, rtol=1e-4, atol=1e-4)


def weight(*shape, scale=0.02, seed=0):
    return scale * randn(*shape, seed=seed)


@pytest.mark.parametrize("rows", [1, 3, 16, 37])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("out", "into", "blocksize", "double_quant"),
    [(16, 64, 64, False), (48, 128, 128, True), (32, 192, 64, True), (16, 256, 256, False)],
)
def test_strips_give_the_bytes_of_the_whole_weight(
    rows, bias, out, into, blocksize, double_quant, monkeypatch
):
    linear = nn.Linear(into, out, bias=bias)
    layer = nf4.NF4Linear.from_linear(linear, blocksize, double_quant)
    x, grad = weight(2, rows, into, scale=1.0), weight(2, rows, out, scale=1.0, seed=1)
    x = x.transpose(0, 1).requires_grad_()
    results = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(functions, "fits_strips", lambda state: False)
        else:
            assert functions.fits_strips(layer.quant_state)
        y = functions.linear(layer, x)
        results.append((y, *torch.autograd.grad(y, x, grad.transpose(0, 1))))
    assert all(map(torch.equal, *results))
    exact = x.double() @ layer.dequantized().double().t() + (layer.bias.double() if bias else 0)
    assert torch.allclose(results[0][0].double(), exact, atol=1e-5)


def test_a_weight_of_no_whole_tiles_or_blocks_is_unpacked_whole():
    x = weight(4, 96, scale=1.0)
    for out, into in ((24, 64), (16, 96)):
        layer = nf4.NF4Linear.from_linear(nn.Linear(into, out))
        assert not functions.fits_strips(layer.quant_state)
        part = x[:, :into]
        exact = part.double() @ layer.dequantized().double().t() + layer.bias.double()
        assert torch.allclose(functions.linear(layer, part).double(), exact, atol=1e-5)


@pytest.mark.parametrize("out", [48, 40])  # by strips and whole
def test_no_float_weight_stays_alive_between_forward_and_backward(out):
    layer = nf4.NF4Linear.from_linear(nn.Linear(64, out))
    assert functions.fits_strips(layer.quant_state) == (out == 48)
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t)
    with hooks:
        functions.linear(layer, torch.randn(3, 64, requires_grad=True)).sum()
    assert {t.dtype for t in saved} == {torch.uint8}
