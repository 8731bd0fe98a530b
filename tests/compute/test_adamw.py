"""AdamW and clipping are PyTorch's within rounding, and bring no compiler along."""

import subprocess
import sys

import pytest
import torch

from minituner.compute.adamw import AdamW, checked_gradients, clip_grad_norm_, power


def trained(make):
    draw = torch.Generator().manual_seed(0)
    matrix = torch.nn.Parameter(torch.randn(5, 7, generator=draw))
    bias = torch.nn.Parameter(torch.randn(5, generator=draw))
    unused = torch.nn.Parameter(torch.ones(3))
    groups = [
        {"params": [matrix], "weight_decay": 0.1},
        {"params": [bias, unused], "weight_decay": 0.0},
    ]
    optimizer = make(groups, lr=1e-2, betas=(0.9, 0.99))
    for step in range(20):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 / (step + 1)
        loss = (matrix @ torch.randn(7, 3, generator=draw) + bias[:, None]).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    moments = [optimizer.state[p][k] for p in (matrix, bias) for k in ("exp_avg", "exp_avg_sq")]
    return [matrix.detach(), bias.detach(), unused.detach(), *moments]


def test_twenty_steps_are_those_of_torch_optim():
    for ours, theirs in zip(trained(AdamW), trained(torch.optim.AdamW), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_what_is_not_set_is_as_torch_optim_has_it():
    """Weight decay too: without a gradient to speak of, it alone moves a parameter."""
    moved = []
    for make in (AdamW, torch.optim.AdamW):
        parameters = [torch.nn.Parameter(torch.full((3,), 2.0)) for _ in range(2)]
        optimizer = make([{"params": parameters}], lr=0.1)
        for size in (1.0, -3.0, 0.1):
            for parameter, grad in zip(parameters, (0.0, 1e-8 * size), strict=True):
                parameter.grad = torch.full((3,), grad)
            optimizer.step()
        moved.append(torch.cat(parameters).detach())
    assert torch.allclose(*moved, rtol=1e-6)


@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_clipping_is_torchs(max_norm):
    draw = torch.Generator().manual_seed(0)
    pairs = []
    for shape in ((5, 7), (3,), (1, 1)):
        grad = torch.randn(shape, generator=draw)
        pairs.append([torch.nn.Parameter(torch.ones(shape)) for _ in range(2)])
        for parameter in pairs[-1]:
            parameter.grad = grad.clone()
    ours, theirs = zip(*pairs, strict=True)
    unused = torch.nn.Parameter(torch.ones(2))
    norm = clip_grad_norm_([*ours, unused], max_norm)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, max_norm)))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-6)


WRONG = {
    "double precision": (torch.ones(3).double(), torch.ones(3).double(), "torch.float64"),
    "another shape": (torch.ones(3), torch.ones(4), "shape is"),
    "not contiguous": (torch.ones(4, 3).t(), torch.ones(3, 4), "not contiguous"),
    "one number many times": (torch.ones(1).expand(5), torch.ones(5), "not contiguous"),
    "a sparse gradient": (torch.ones(3), torch.ones(3).to_sparse(), "not contiguous"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_loops_cannot_take_is_one_line(name):
    value, grad, words = WRONG[name]

    class Held:  # torch.nn.Parameter itself refuses such a gradient
        pass

    parameter = value.requires_grad_()
    held = Held()
    held.__dict__.update(grad=grad)
    for attribute in ("dtype", "device", "layout", "is_contiguous", "shape"):
        setattr(held, attribute, getattr(parameter, attribute))
    with pytest.raises(TypeError, match=words):
        checked_gradients([held])


def test_a_step_tells_autograd_that_a_parameter_changed():
    parameter = torch.nn.Parameter(torch.ones(3))
    squares = parameter.square().sum()
    parameter.grad = torch.ones(3)
    AdamW([{"params": [parameter]}], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squares.backward()


def test_powers_are_those_of_python():
    assert all(
        power(0.99, n) == pytest.approx(0.99**n, rel=1e-13) for n in (0, 1, 2, 7, 600, 12345)
    )


def test_training_imports_no_compiler():
    code = """
import sys
from minituner import compute, train
from minituner.model import MiniGPT, ModelConfig
import torch
compute.pin()
model = compute.accelerate(MiniGPT(ModelConfig("ab", d_model=8)))
ids = torch.zeros(2, 5, dtype=torch.int64)
settings = {"steps": 1, "learning_rate": 1e-2, "warmup": 1, "eval_every": 1}
how = {"adamw": compute.AdamW, "clip": compute.clip_grad_norm_}
train.fit(model, iter([(ids, ids)]), [(ids, ids)], settings, **how)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
