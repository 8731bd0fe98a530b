"""AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) by PyTorch's fused kernel, not by torch.optim.

torch.optim imports the compiler torch._dynamo at its first step, which takes longer than a hundred
steps of an adapter do. The kernel is the same one, and tests/compute/test_adamw.py holds each bit
to it. It is also the one whose square root does not go through MKL and so is equal on every CPU.
"""

from collections.abc import Iterable
from typing import Any

import torch


class AdamW:
    """`torch.optim.AdamW(…, fused=True)` for float32 on the CPU.

    Args:
        groups: dicts with `params` and any of the settings below.
        lr: learning rate; change it in `param_groups` as a schedule asks.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        weight_decay: decoupled, times the learning rate.

    Attributes:
        state: parameter → `step` (float32 scalar), `exp_avg` and `exp_avg_sq`, once it has stepped.
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
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            states = [self.state.setdefault(parameter, _fresh(parameter)) for parameter in moved]
            steps, first, second = (
                [state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq")
            )
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                moved,
                [parameter.grad for parameter in moved],
                first,
                second,
                [],
                steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )


def _fresh(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "step": torch.zeros(()),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
