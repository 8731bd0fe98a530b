"""One compiled Linear is PyTorch's: float, in NF4, with a low-rank update; gradients too."""

import pytest
import torch
import torch.nn as nn

from minituner import compute, nf4
from minituner.compute import step
from minituner.compute.step import fits_strips
from minituner.lora import LoRALinear

SHAPES = [(1, 1, 1), (5, 64, 1), (33, 1, 64), (272, 64, 256), (17, 8, 29)]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def a_linear(into, out, bias=True, rank=0, quantized=False, dropout=0.0):
    """A Linear of any kind, none of whose numbers is zero."""
    torch.manual_seed(0)
    layer = nn.Linear(into, out, bias=bias)
    if quantized:
        layer = nf4.NF4Linear.from_linear(layer)
    if rank:
        layer = LoRALinear(layer, r=rank, alpha=2.0, dropout=dropout, freeze_base=False)
        nn.init.normal_(layer.lora_B)
    return layer


def results(function, layer, x, seed=3):
    """What a function makes of x, and the gradients by x and by each parameter."""
    x = x.clone().requires_grad_()
    y = function(layer, x)
    inputs = [x, *(p for p in layer.parameters() if p.requires_grad)]
    return [y.detach(), *torch.autograd.grad(y, inputs, randn(*y.shape, seed=seed))]


def textbook(layer, x):
    return layer(x)


@pytest.mark.parametrize(("n", "into", "out"), SHAPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rank", [0, 1])
def test_outputs_and_gradients_are_those_of_torch(n, into, out, bias, rank):
    layer = a_linear(into, out, bias, rank)
    x = randn(2, n, into)
    for ours, theirs in zip(
        results(compute.linear, layer, x), results(textbook, layer, x), strict=True
    ):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [3, 8, 20])
@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize(("into", "out"), [(64, 48), (64, 40), (24, 29)])
def test_an_update_and_its_gradients_are_torchs(rank, quantized, into, out):
    layer, x = a_linear(into, out, True, rank, quantized), randn(3, 7, into)
    for ours, theirs in zip(
        results(compute.linear, layer, x), results(textbook, layer, x), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("trained", [[], ["lora_A"], ["lora_B"]])
def test_a_frozen_update_lets_the_inputs_gradient_through(quantized, trained):
    layer, x = a_linear(64, 48, True, 3, quantized).requires_grad_(False), randn(7, 64)
    for name in trained:
        getattr(layer, name).requires_grad_(True)
    for ours, theirs in zip(
        results(compute.linear, layer, x), results(textbook, layer, x), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_an_input_of_the_wrong_width_is_refused_in_pytorchs_words():
    for kind in ({}, {"rank": 2}, {"quantized": True}):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            compute.linear(a_linear(64, 48, **kind), randn(4, 32))


def test_rows_and_gradients_of_any_layout_are_taken():
    layer, x = a_linear(6, 9, rank=2), randn(6, 5).t()
    assert not x.is_contiguous()
    y, expected = compute.linear(layer, x), layer(x)
    assert torch.allclose(y, expected, atol=1e-5)
    grad = randn(9, 5, seed=1).t()
    ours, theirs = (torch.autograd.grad(t, list(layer.parameters()), grad) for t in (y, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("quantized", [False, True])
def test_a_frozen_layer_keeps_its_tensors_alone(quantized):
    layer, saved = a_linear(64, 48, quantized=quantized).requires_grad_(False), []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t)
    with hooks:
        compute.linear(layer, randn(7, 64).requires_grad_())
    held = {t.data_ptr() for t in [*layer.parameters(), *layer.buffers()]}
    assert {t.data_ptr() for t in saved} == held


@pytest.mark.parametrize("kind", ["float", "low-rank", "NF4"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_go_to_torch(kind, dtype):
    layer = a_linear(4, 5, kind != "float", 2 * (kind == "low-rank"), kind == "NF4").to(dtype)
    x = randn(3, 4).to(dtype)
    assert compute.linear(layer, x).dtype == dtype
    assert torch.equal(compute.linear(layer, x), layer(x))


def test_dropout_drops_what_the_key_says_and_gradients_know_it():
    layer, x = a_linear(8, 6, rank=2, dropout=0.5), randn(20, 8).requires_grad_()
    values = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        values.append(compute.linear(layer, x))
    assert torch.equal(values[0], values[1]) and not torch.equal(values[0], values[2])
    # Linear in x for one key, so its gradient is what x is multiplied with.
    torch.manual_seed(0)
    y = compute.linear(layer, x)
    (by_x,) = torch.autograd.grad(y.sum(), x)
    total = (by_x * x).sum() + len(x) * layer.base.bias.sum()
    assert torch.allclose(total, y.sum(), rtol=1e-4)
    assert torch.equal(compute.linear(layer.eval(), x), compute.linear(layer.eval(), x))


@pytest.mark.parametrize("rows", [1, 3, 16, 37])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("out", "into", "blocksize", "double_quant"),
    [
        (32, 64, 64, False),
        (64, 96, 32, True),
        (96, 128, 128, True),
        (32, 192, 64, True),
        (32, 256, 256, False),
    ],
)
def test_strips_give_the_bytes_of_the_whole_weight(
    rows, bias, out, into, blocksize, double_quant, monkeypatch
):
    linear = nn.Linear(into, out, bias=bias)
    layer = nf4.NF4Linear.from_linear(linear, blocksize, double_quant)
    x, grad = randn(2, rows, into), randn(2, rows, out, seed=1)
    x = x.transpose(0, 1).requires_grad_()
    made = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(step, "fits_strips", lambda state: False)
        else:
            assert fits_strips(layer.quant_state)
        y = compute.linear(layer, x)
        made.append((y, *torch.autograd.grad(y, x, grad.transpose(0, 1))))
    assert all(map(torch.equal, *made))
    exact = x.double() @ layer.dequantized().double().t() + (layer.bias.double() if bias else 0)
    assert torch.allclose(made[0][0].double(), exact, atol=1e-4)


def test_a_weight_of_no_whole_tiles_or_blocks_is_unpacked_whole():
    x = randn(4, 96)
    for out, into in ((24, 64), (16, 96)):
        layer = nf4.NF4Linear.from_linear(nn.Linear(into, out))
        assert not fits_strips(layer.quant_state)
        part = x[:, :into]
        exact = part.double() @ layer.dequantized().double().t() + layer.bias.double()
        assert torch.allclose(compute.linear(layer, part).double(), exact, atol=1e-5)
