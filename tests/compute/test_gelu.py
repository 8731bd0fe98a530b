"""The compiled GELU, its slope and the exponential are exact to rounding, and hide no NaN."""

import numpy as np
import torch
import torch.nn.functional as F

from minituner.compute import functions
from minituner.compute.kernels.exponential import exponential


def test_gelu_and_its_slope_are_those_of_torch():
    x = torch.cat([torch.linspace(-12, 12, 9973), torch.tensor([0.0, -0.0, 1e-30, -80, 1e6])])
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    y, expected = functions.gelu(ours), F.gelu(theirs)
    assert torch.allclose(y.double(), expected, rtol=1e-6, atol=1e-6)
    y.sum().backward()
    expected.sum().backward()
    assert torch.allclose(ours.grad.double(), theirs.grad, atol=1e-6)


def test_the_exponential_is_within_two_units_of_the_last_place():
    x = np.linspace(-86.9, 0, 100_001).astype(np.float32)
    computed = np.array([exponential(value) for value in x])
    exact = np.exp(x.astype(np.float64))
    assert np.abs(computed - exact).max() <= 2 * np.finfo(np.float32).eps
    assert (np.abs(computed / exact - 1)).max() <= 2 * np.finfo(np.float32).eps


def test_what_is_no_number_is_not_hidden():
    x = torch.randn(9, 16, generator=torch.Generator().manual_seed(0))
    x[4, 3] = float("nan")
    assert torch.isnan(functions.gelu(x)[4, 3])
