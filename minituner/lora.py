"""LoRA (Hu et al. 2021, arXiv:2106.09685): a frozen Linear plus a trained low-rank update.

    x ──┬── W (frozen, out × in) ─────────────────────────┬── + ──► y = W x + (α/r) B A x
        └── dropout ── A (r × in) ── B (out × r) ── α/r ──┘

A starts random and B at zero, so a fresh wrap changes nothing (section 4.1). Only A and B are
trained: r·(in + out) numbers instead of in·out.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner.foundation.errors import UserError

PEFT_PREFIX = "base_model.model."  # what PEFT puts before each tensor's name
ALL_LINEAR = "all-linear"  # PEFT's word for every Linear


class LoRALinear(nn.Module):
    """A Linear with a low-rank update, (…, in) → (…, out).

    Args:
        base: the layer to adapt: `nn.Linear` or anything with `in_features` and `out_features`.
        r: rank of the update, 1 ≤ r ≤ min(in, out).
        alpha: numerator of the scaling α/r, which lets one learning rate serve every rank.
        dropout: probability of dropping an input of the update while training.
        freeze_base: stop gradients to the base's own parameters.
        generator: where A is drawn from; None leaves torch's global generator.

    Raises:
        ValueError: for a rank, alpha or dropout outside its range.
    """

    def __init__(
        self,
        base: nn.Module,
        r: int = 8,
        alpha: float = 16.0,
        dropout: float = 0.0,
        freeze_base: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        check_update(base, r, alpha, dropout)
        self.base = base
        self.rank, self.alpha, self.dropout = r, alpha, dropout
        self.scaling = alpha / r
        self.merged = False
        self._merged: list[torch.Tensor] = []  # the A and (α/r) B that were merged
        device = next(iter(base.parameters()), torch.empty(0)).device
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features, device=device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r, device=device))
        # The bound that nn.Linear uses for its own weights; only the product BA must start at zero.
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5), generator=generator)
        if freeze_base:
            base.requires_grad_(False)

    @property
    def in_features(self) -> int:
        """Width of the input."""
        return self.base.in_features

    @property
    def out_features(self) -> int:
        """Width of the output."""
        return self.base.out_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """W x + (α/r) B A x; just the base once merged."""
        y = self.base(x)
        if self.merged:
            return y
        x = F.dropout(x, self.dropout, self.training)
        A, B = self.lora_A.to(x.dtype), self.lora_B.to(x.dtype)
        return y + self.scaling * F.linear(F.linear(x, A), B)

    def delta_weight(self) -> torch.Tensor:
        """(α/r) B A, the update as one (out, in) matrix of rank at most r."""
        return self.scaling * (self.lora_B @ self.lora_A)

    @torch.no_grad()
    def merge_(self) -> "LoRALinear":
        """Add the update to the base's weight, so that inference costs one matrix product again.

        A merged layer has no state to save or load: the update would be counted twice.

        Raises:
            UserError: on a 4-bit base, where rounding to 16 values would swallow the update.
        """
        if not isinstance(self.base, nn.Linear):
            raise UserError(
                "merge: the base is stored in 4 bits and rounding it again would lose the update; "
                "use qlora.merged_float_linear() to merge into the dequantized weights"
            )
        if not self.merged:
            self._merged = [self.lora_A.detach().clone(), self.scaling * self.lora_B.detach()]
            self.base.weight += self.delta_weight()
            self.merged = True
        return self

    @torch.no_grad()
    def unmerge_(self) -> "LoRALinear":
        """Take what was merged out of the base's weight again, exact but for float rounding."""
        if self.merged:
            A, B = self._merged
            self.base.weight -= B @ A
            self.merged, self._merged = False, []
        return self

    def _save_to_state_dict(self, *arguments: Any) -> None:
        self._refuse_merged("state_dict")
        super()._save_to_state_dict(*arguments)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._refuse_merged("load_state_dict")
        super()._load_from_state_dict(*arguments)

    def _refuse_merged(self, what: str) -> None:
        if self.merged:
            raise UserError(
                f"{what}: a layer's update is merged into its base; unmerge_() it first"
            )

    def extra_repr(self) -> str:
        """What printing the module adds."""
        return f"rank={self.rank}, alpha={self.alpha}, scaling={self.scaling:g}"


def check_update(base: nn.Module, r: int, alpha: float, dropout: float) -> None:
    """Refuse an update that a layer cannot have.

    Raises:
        ValueError: for a rank, alpha or dropout outside its range.
    """
    widest = min(base.in_features, base.out_features)
    if not 1 <= r <= widest:
        raise ValueError(f"rank {r} is outside 1 … {widest}, the layer's smaller side")
    if not (math.isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha {alpha} is not a positive number")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout {dropout} is outside 0 ≤ p < 1")


def linears(model: nn.Module) -> list[str]:
    """Names of the layers that can be adapted, in the model's order."""
    return [
        name
        for name, module in model.named_modules()
        if hasattr(module, "in_features") and not isinstance(module, LoRALinear)
    ]


def selected(names: list[str], wanted: list[str] | str) -> list[str]:
    """Those of `names` that `wanted` selects: PEFT's convention.

    A list holds name endings (`q_proj`, `mlp.fc1`); a string is a regular expression for the whole
    name, or `all-linear`.

    Raises:
        UserError: for a string that is no regular expression.
    """
    if not isinstance(wanted, str):
        endings = tuple(f".{ending}" for ending in wanted)
        return [name for name in names if f".{name}".endswith(endings)]
    if wanted.lower() == ALL_LINEAR:
        return names
    try:
        pattern = re.compile(wanted)
    except (re.error, OverflowError, RecursionError) as error:
        problem = f"{wanted!r:.60} is no regex ({error})"
        raise UserError(f"target_modules: {problem}; list the names") from None
    return [name for name in names if pattern.fullmatch(name)]


def matching_linears(model: nn.Module, target_modules: Iterable[str] | str) -> list[str]:
    """Names of the Linears that `target_modules` selects, in the model's order; see `selected`.

    Raises:
        UserError: if an entry matches nothing; the message lists the candidates.
    """
    names = linears(model)
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    candidates = sorted({re.sub(r"^.*\.\d+\.", "", name) for name in names})
    hint = f"the model's Linears are {', '.join(candidates)}"
    if not targets:
        raise UserError(f"target_modules: empty, so nothing would be trained; {hint}")
    entries = {targets: targets} if isinstance(targets, str) else {t: [t] for t in targets}
    for target, wanted in entries.items():
        if not selected(names, wanted):
            raise UserError(f"target_modules: {target!r:.60} matches no Linear; {hint}")
    return selected(names, targets)


def wrap_minigpt_with_lora(
    model: nn.Module,
    r: int = 8,
    alpha: float = 16.0,
    target_modules: Iterable[str] | str = ("q_proj", "v_proj"),
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Freeze `model` and put a LoRALinear in place of each target; returns the same model.

    Raises:
        UserError: if a target matches no Linear, or the model is wrapped already.
        ValueError: for a rank, alpha or dropout outside its range. The model is as it was then.
    """
    chosen = check_wrap(model, r, alpha, target_modules, dropout)
    model.requires_grad_(False)
    for name in chosen:
        parent, _, child = name.rpartition(".")
        owner = model.get_submodule(parent)
        layer = LoRALinear(getattr(owner, child), r, alpha, dropout, generator=generator)
        setattr(owner, child, layer)
    return model


def check_wrap(
    model: nn.Module, r: int, alpha: float, target_modules: Iterable[str] | str, dropout: float
) -> list[str]:
    """Names of the Linears that a wrap would replace, after checking that it can.

    Raises:
        UserError: if a target matches no Linear, or the model is wrapped already.
        ValueError: for a rank, alpha or dropout outside its range.
    """
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise UserError("wrap: the model carries LoRA layers already; load a fresh base first")
    chosen = matching_linears(model, target_modules)
    for name in chosen:
        check_update(model.get_submodule(name), r, alpha, dropout)
    return chosen


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The model's LoRA layers by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, LoRALinear)}


def lora_state_dict(model: nn.Module) -> dict[str, torch.Tensor]:
    """The adapter alone, under PEFT's names: `base_model.model.….lora_A.weight` (r, in) and B."""
    return {
        f"{PEFT_PREFIX}{name}.{part}.weight": getattr(layer, part).detach()
        for name, layer in lora_layers(model).items()
        for part in ("lora_A", "lora_B")
    }


def load_lora_state_dict(
    model: nn.Module, state: dict[str, torch.Tensor], source: str = "adapter"
) -> nn.Module:
    """Copy an adapter into a wrapped model, after checking every tensor; returns the model.

    Raises:
        UserError: naming a tensor that is missing, superfluous, wrongly shaped or not finite, or
            if the model's updates are merged.
    """
    if any(layer.merged for layer in lora_layers(model).values()):
        raise UserError(f"{source}: the model's updates are merged; unmerge_() its layers first")
    expected = lora_state_dict(model)
    for name in expected.keys() - state.keys():
        raise UserError(f"{source}: {name}: missing; the file belongs to other target_modules")
    for name in state.keys() - expected.keys():
        raise UserError(f"{source}: {name}: superfluous; the file belongs to other target_modules")
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            shapes = f"{tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
            raise UserError(f"{source}: {name}: shape {shapes}; the file belongs to another rank")
        if not tensor.is_floating_point():
            raise UserError(f"{source}: {name}: holds {tensor.dtype}; train the adapter again")
        if not torch.isfinite(tensor).all():
            raise UserError(f"{source}: {name}: holds NaN or infinity; train the adapter again")
    for name, tensor in state.items():
        expected[name].copy_(tensor)
    return model


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that training would change.

    Raises:
        UserError: if there is none, so that no run ends "trained" without having moved.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise UserError("train: no parameter is trainable; wrap the model with LoRA first")
    return parameters
