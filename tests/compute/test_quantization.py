"""The compiled NF4 loops give the bytes of PyTorch's operations, and of Python's own arithmetic."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from minituner import nf4
from minituner.compute import quantization
from minituner.compute.kernels import nf4 as loops
from minituner.foundation.errors import UserError


def weight(n, seed=0):
    return 0.02 * torch.randn(n, generator=torch.Generator().manual_seed(seed))


def awkward():
    """Values on each midpoint and next to it, an empty block, tiny and huge ones, an odd end."""
    middle = nf4.midpoints(nf4.code_values())
    below, above = (torch.nextafter(middle, torch.full((15,), side)) for side in (-2.0, 2.0))
    blocks = [torch.zeros(64), weight(64) * 1e-38, weight(64) * 1e38, torch.full((64,), -0.3)]
    return torch.cat([middle, below, above, torch.ones(19), *blocks, weight(1077)])


@pytest.fixture(autouse=True)
def every_weight_repays(monkeypatch):
    monkeypatch.setattr(quantization, "repays", lambda n: True)


@pytest.mark.parametrize("blocksize", [32, 64, 256])
@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("make", [awkward, lambda: weight(1 << 20), lambda: weight(65_537)])
def test_compiled_and_plain_bytes_are_equal(make, blocksize, double_quant):
    flat = make()
    if double_quant and len(flat) < 2000:
        flat = flat[256:]  # without the huge block, whose mean overflows nothing
    packed, state = quantization.quantize(flat, blocksize, double_quant)
    restored = quantization.dequantize(packed, state)
    expected_packed, expected = nf4.quantize(flat, blocksize, double_quant)
    assert torch.equal(packed, expected_packed)
    assert torch.equal(state.absmax, expected.absmax)
    assert state.offset == expected.offset
    assert torch.equal(restored, nf4.dequantize(expected_packed, expected))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("shape", [(1,), (64,), (3, 5), (33, 130)])
def test_other_dtypes_and_shapes_have_the_bytes_of_the_textbook(shape, dtype):
    w = weight(torch.Size(shape).numel()).view(shape).to(dtype)
    (packed, state), (expected_packed, expected) = quantization.quantize(w), nf4.quantize(w)
    assert torch.equal(packed, expected_packed) and torch.equal(state.absmax, expected.absmax)
    restored = quantization.dequantize(packed, state)
    assert restored.dtype == dtype and restored.shape == shape
    assert torch.equal(restored, nf4.dequantize(expected_packed, expected))


def test_few_weights_are_packed_and_unpacked_without_importing_numba():
    code = """
import sys
from minituner import compute
import torch
compute.dequantize(*compute.quantize(torch.ones(64, 64)))
print("numba" in sys.modules)
compute.quantize(torch.ones(1 << 19))
print("numba" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_machine_code_rounds_as_the_interpreter_does():
    flat = weight(256).numpy()
    results = []
    for quantize, dequantize in (
        (loops.quantize, loops.dequantize),
        (loops.quantize.py_func, loops.dequantize.py_func),
    ):
        packed, absmax = np.zeros(128, np.uint8), np.zeros(4, np.float32)
        middle, code = nf4.midpoints(nf4.code_values()).numpy(), nf4.code_values().numpy()
        quantize(flat, 64, middle, np.float32(nf4.LEAST), packed, absmax)
        restored = np.zeros(256, np.float32)
        dequantize(packed, 64, code, absmax, restored)
        results.append(packed.tobytes() + absmax.tobytes() + restored.tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_large_weight_that_is_not_finite_is_refused(value):
    flat = weight(256)
    flat[100] = value
    with pytest.raises(UserError, match="NaN or infinity"):
        quantization.quantize(flat)
