"""Our AdamW is PyTorch's, bit for bit, and brings no compiler along."""

import subprocess
import sys

import torch

from minituner.compute.adamw import AdamW


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


def test_twenty_steps_leave_the_bits_of_torch_optim():
    def torchs(groups, **settings):
        return torch.optim.AdamW(groups, fused=True, **settings)

    for ours, theirs in zip(trained(AdamW), trained(torchs), strict=True):
        assert torch.equal(ours, theirs)


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
train.fit(model, iter([(ids, ids)]), [(ids, ids)], settings, adamw=compute.AdamW)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
