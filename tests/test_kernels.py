"""The compiled NF4 loops give the bytes of PyTorch's operations, and of Python's own arithmetic."""

import numpy as np
import pytest
import torch

from minituner import nf4
from minituner.compute.kernels import jit
from minituner.foundation.errors import UserError


def weight(n, seed=0):
    return 0.02 * torch.randn(n, generator=torch.Generator().manual_seed(seed))


def awkward():
    """Values on each midpoint and next to it, an empty block, tiny and huge ones, an odd end."""
    middle = nf4._midpoints(nf4.code_values())
    below, above = (torch.nextafter(middle, torch.full((15,), side)) for side in (-2.0, 2.0))
    blocks = [torch.zeros(64), weight(64) * 1e-38, weight(64) * 1e38, torch.full((64,), -0.3)]
    return torch.cat([middle, below, above, torch.ones(19), *blocks, weight(1077)])


@pytest.fixture
def reference(monkeypatch):
    """Quantize and dequantize as if no weight repaid the compiled loops."""

    def run(flat, *options):
        with monkeypatch.context() as patch:
            patch.setattr(nf4, "_repays", lambda n: False)
            packed, state = nf4.quantize(flat, *options)
            return packed, state, nf4.dequantize(packed, state)

    return run


@pytest.mark.parametrize("blocksize", [64, 256])
@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("make", [awkward, lambda: weight(1 << 20), lambda: weight(65_537)])
def test_compiled_and_plain_bytes_are_equal(reference, monkeypatch, make, blocksize, double_quant):
    flat = make()
    monkeypatch.setattr(nf4, "_repays", lambda n: True)
    if double_quant and len(flat) < 2000:
        flat = flat[256:]  # without the huge block, whose mean overflows nothing
    packed, state = nf4.quantize(flat, blocksize, double_quant)
    restored = nf4.dequantize(packed, state)
    expected_packed, expected, expected_restored = reference(flat, blocksize, double_quant)
    assert torch.equal(packed, expected_packed)
    assert torch.equal(state.absmax, expected.absmax)
    assert torch.equal(restored, expected_restored)


def test_the_machine_code_rounds_as_the_interpreter_does():
    flat = weight(256).numpy()
    results = []
    for quantize, dequantize in (
        (jit.nf4_quantize, jit.nf4_dequantize),
        (jit.nf4_quantize.py_func, jit.nf4_dequantize.py_func),
    ):
        packed, absmax = np.zeros(128, np.uint8), np.zeros(4, np.float32)
        middle, code = nf4._midpoints(nf4.code_values()).numpy(), nf4.code_values().numpy()
        quantize(flat, 64, middle, np.float32(nf4.LEAST), packed, absmax)
        restored = np.zeros(256, np.float32)
        dequantize(packed, 64, code, absmax, restored)
        results.append(packed.tobytes() + absmax.tobytes() + restored.tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_large_weight_that_is_not_finite_is_refused(monkeypatch, value):
    monkeypatch.setattr(nf4, "_repays", lambda n: True)
    flat = weight(256)
    flat[100] = value
    with pytest.raises(UserError, match="NaN or infinity"):
        nf4.quantize(flat)
