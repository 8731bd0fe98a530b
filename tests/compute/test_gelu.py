"""The compiled GELU, its slope and the exponential are exact to rounding, and hide no NaN."""

import numpy as np
import torch
import torch.nn.functional as F

from minituner.compute.kernels.exponential import exponential, logarithm
from minituner.compute.kernels.gelu import gelu


def gelu_and_slope(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of x in one row."""
    y, slope = torch.empty_like(x), torch.empty_like(x)
    gelu(x.numpy(), y.numpy(), slope.numpy())
    return y, slope


def test_gelu_and_its_slope_are_those_of_torch():
    x = torch.cat([torch.linspace(-12, 12, 9973), torch.tensor([0.0, -0.0, 1e-30, -80, 1e6])])
    theirs = x.double().requires_grad_()
    (y, slope), expected = gelu_and_slope(x), F.gelu(theirs)
    assert torch.allclose(y.double(), expected, rtol=1e-6, atol=1e-6)
    expected.sum().backward()
    assert torch.allclose(slope.double(), theirs.grad, atol=1e-6)


def test_the_exponential_is_within_two_units_of_the_last_place():
    x = np.linspace(-86.9, 0, 100_001).astype(np.float32)
    computed = np.array([exponential(value) for value in x])
    exact = np.exp(x.astype(np.float64))
    assert np.abs(computed - exact).max() <= 2 * np.finfo(np.float32).eps
    assert (np.abs(computed / exact - 1)).max() <= 2 * np.finfo(np.float32).eps


def test_what_is_no_number_is_not_hidden():
    x = torch.randn(9, generator=torch.Generator().manual_seed(0))
    x[3] = float("nan")
    assert torch.isnan(gelu_and_slope(x)[0][3])


def test_the_logarithm_is_within_two_units_of_the_last_place():
    x = np.concatenate([np.linspace(1, 3, 50_001), np.geomspace(1, 1e9, 50_001)])
    computed = np.array([logarithm(value) for value in x])
    assert np.abs(computed - np.log(x)).max() <= 1e-14
    near = x > 1.5
    assert np.abs(computed / np.log(x, where=near, out=np.ones_like(x)) - 1)[near].max() <= 5e-16
