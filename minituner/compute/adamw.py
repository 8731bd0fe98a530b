"""AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) and gradient clipping by compiled loops.

PyTorch's own round differently from one version and CPU to another, and torch.optim imports the
compiler torch._dynamo at its first step, which takes longer than a hundred steps of an adapter do.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch


class AdamW:
    """`torch.optim.AdamW` for float32 on the CPU, within rounding.

    Args:
        groups: dicts with `params` and any of the settings below.
        lr: learning rate; change it in `param_groups` as a schedule asks.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        weight_decay: decoupled, times the learning rate.

    Attributes:
        state: parameter → `step` (float32 scalar), `exp_avg` and `exp_avg_sq`, once it has stepped.

    Raises:
        TypeError: in `step`, for a parameter or gradient that is no contiguous float32 tensor on
            the CPU, or a gradient of another shape than its parameter.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        self.param_groups = [defaults | group for group in groups]
        self.state: dict[torch.Tensor, dict[str, torch.Tensor]] = {}

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update each parameter that has a gradient, in place."""
        from minituner.compute.kernels import adamw as loops

        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            by_steps: dict[int, loops.Rates] = {}  # most often all have taken as many
            for parameter, grad in zip(moved, checked_gradients(moved), strict=True):
                if parameter not in self.state:
                    self.state[parameter] = _fresh(parameter)
                state = self.state[parameter]
                state["step"] += 1
                steps = int(state["step"])
                if steps not in by_steps:
                    by_steps[steps] = loops.Rates(*map(np.float32, _rates(group, steps)))
                tensors = parameter.detach(), state["exp_avg"], state["exp_avg_sq"]
                values, first, second = (tensor.numpy().reshape(-1) for tensor in tensors)
                loops.step(values, grad, first, second, by_steps[steps])
            torch.autograd.graph.increment_version(moved)


def _rates(group: dict[str, Any], steps: int) -> tuple[float, ...]:
    """What the loop multiplies by at that step, in the order of its `Rates`."""
    lr, decay, eps = (float(group[name]) for name in ("lr", "weight_decay", "eps"))
    beta_1, beta_2 = map(float, group["betas"])
    bias_1, bias_2 = (1 - power(beta, steps) for beta in (beta_1, beta_2))
    rates = 1 - lr * decay, 1 - beta_1, beta_2, 1 - beta_2
    return *rates, lr / bias_1, 1 / math.sqrt(bias_2), eps


def clip_grad_norm_(parameters: list[torch.Tensor], max_norm: float) -> float:
    """Scale gradients in place so that their norm together is at most max_norm; the norm before.

    Raises:
        TypeError: as `AdamW.step`.
    """
    from minituner.compute.kernels import adamw as loops

    gradients = checked_gradients([p for p in parameters if p.grad is not None])
    norm = math.sqrt(math.fsum(loops.squares(grad) for grad in gradients))
    factor = np.float32(max_norm / (norm + 1e-6))
    if factor < 1:
        for grad in gradients:
            loops.scale(grad, factor)
    return norm


def power(base: float, exponent: int) -> float:
    """base ** exponent by repeated squares, since a C library's differs from another's."""
    result = 1.0
    while exponent:
        result = result * base if exponent & 1 else result
        base, exponent = base * base, exponent >> 1
    return result


def checked_gradients(parameters: list[torch.Tensor]) -> list[np.ndarray]:
    """The parameters' gradients for the loops, (n,) each, once they and the parameters fit them."""
    for parameter in parameters:
        for tensor in (parameter, parameter.grad):
            if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
                raise TypeError(
                    f"AdamW: a parameter or gradient is {tensor.dtype} on {tensor.device}"
                )
            if tensor.layout != torch.strided or not tensor.is_contiguous():
                raise TypeError("AdamW: a parameter or gradient is not contiguous")
        if parameter.shape != parameter.grad.shape:
            shapes = f"{tuple(parameter.grad.shape)} for {tuple(parameter.shape)}"
            raise TypeError(f"AdamW: a gradient's shape is {shapes}")
    return [parameter.grad.detach().numpy().reshape(-1) for parameter in parameters]


def _fresh(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "step": torch.zeros(()),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
