"""Kernels are pinned before torch loads, products go through them, and departures are said."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from minituner.compute import numerics
from minituner.foundation import environment as pinning

SHAPES = [(1, 1, 1), (5, 64, 1), (33, 1, 64), (272, 64, 256), (17, 8, 29)]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "into", "out"), SHAPES)
@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_gradients_are_those_of_torch(n, into, out, bias):
    results = []
    for function in (numerics.linear, F.linear):
        tensors = [
            randn(2, n, into),
            randn(out, into, seed=1),
            randn(out, seed=2) if bias else None,
        ]
        given = [t if t is None else t.requires_grad_() for t in tensors]
        y = function(*given)
        (y * randn(2, n, out, seed=3)).sum().backward()
        results.append([y.detach(), *(t.grad for t in given if t is not None)])
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_gradients_are_right_to_the_second_difference():
    x, w, b = (randn(*shape).requires_grad_() for shape in ((3, 4), (5, 4), (5,)))
    y = numerics.linear(x, w, b)
    (gx,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(gx, w.sum(0).expand(3, 4), atol=1e-6)  # a gradient that is not contiguous


def test_a_frozen_weight_keeps_no_input_alive():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        numerics.linear(randn(7, 4).requires_grad_(), randn(5, 4), None)
    assert kept == [(5, 4)]


def test_other_dtypes_go_to_torch():
    x, w = randn(3, 4).double(), randn(5, 4).double()
    assert torch.equal(numerics.linear(x, w), F.linear(x, w))


def test_nothing_departs_from_the_pinned_mode_here():
    assert pinning.departures() == []


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_job_that_finds_torch_loaded_already_says_so_once():
    done = run(
        "import torch; from minituner.compute import numerics; numerics.pin(); numerics.pin()"
    )
    lines = done.stderr.splitlines()
    assert any("MKL_CBWR is None, not 'COMPATIBLE'" in line for line in lines)
    assert len(lines) == len(set(lines))
    assert all(line.startswith("minituner: not reproducible byte for byte here") for line in lines)


def test_a_job_in_the_unrestricted_mode_says_so():
    code = "from minituner.compute import numerics; numerics.pin()"
    done = run(code, MINITUNER_NUMERICS="unrestricted")
    assert done.stderr.strip().endswith("here: MINITUNER_NUMERICS=unrestricted")
    assert run(code).stderr == ""


def test_other_settings_of_the_user_are_overruled():
    code = "from minituner.compute import numerics; numerics.pin()"
    assert (
        run(code, MKL_CBWR="AVX512", ATEN_CPU_CAPABILITY="avx512", OMP_NUM_THREADS="4").stderr == ""
    )
