"""Lab 1: LoRA by hand. One layer, one gradient, one step; then the same from minituner.lora.

    python docs/labs/01_lora_by_hand.py

Theory: docs/theory/01-sft-and-forgetting.md and 02-parameter-count.md. Takes a few seconds.
"""

import minituner  # noqa: F401, I001  first of all, before torch is loaded: it pins the kernels
import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner import compute
from minituner.lora import LoRALinear

IN, OUT, RANK, ALPHA, RATE = 64, 64, 2, 8.0, 1e-3


def by_hand() -> dict[str, torch.Tensor]:
    """W frozen, A random, B zero; x and the gradient G that reaches the layer's output."""
    draw = compute.generator(0, "lab 1")
    return {
        "W": torch.randn(OUT, IN, generator=draw) / IN**0.5,
        "A": torch.randn(RANK, IN, generator=draw) / IN**0.5,
        "B": torch.zeros(OUT, RANK),
        "x": torch.randn(5, IN, generator=draw),
        "G": torch.randn(5, OUT, generator=draw),
    }


def forward(t: dict[str, torch.Tensor]) -> torch.Tensor:
    """y = W x + (α/r) B A x, for rows x (N, in) → (N, out)."""
    return t["x"] @ t["W"].T + ALPHA / RANK * (t["x"] @ t["A"].T @ t["B"].T)


def gradients(t: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Of A and B by the chain rule: (α/r) Bᵀ Gᵀ x and (α/r) Gᵀ x Aᵀ."""
    full = t["G"].T @ t["x"]  # what W's own gradient would be, (out, in)
    return ALPHA / RANK * t["B"].T @ full, ALPHA / RANK * full @ t["A"].T


def from_the_package(t: dict[str, torch.Tensor]) -> LoRALinear:
    """A LoRALinear that holds the same numbers."""
    base = nn.Linear(IN, OUT, bias=False)
    base.weight.data = t["W"].clone()
    layer = LoRALinear(base, r=RANK, alpha=ALPHA)
    layer.lora_A.data, layer.lora_B.data = t["A"].clone(), t["B"].clone()
    return layer


def main() -> None:
    """Print each fact beside the package's own number."""
    t = by_hand()
    layer = from_the_package(t)

    print("1. B starts at zero, so a fresh adapter changes nothing.")
    unchanged = torch.equal(layer(t["x"]), F.linear(t["x"], t["W"]))
    print(f"   W x and W x + (α/r) B A x are equal bit for bit: {unchanged}")

    print("2. The gradients by the chain rule are autograd's.")
    (layer(t["x"]) * t["G"]).sum().backward()
    grad_A, grad_B = gradients(t)
    for name, hand, auto in (("A", grad_A, layer.lora_A.grad), ("B", grad_B, layer.lora_B.grad)):
        equal = torch.allclose(hand, auto, atol=1e-4)
        print(f"   {name}: largest {hand.abs().max():.4f}, equal: {equal}")
    print("   A's is zero while B is: the first step moves B alone. W gets none at all:")
    print(f"   W.grad is {layer.base.weight.grad}")

    print("3. The first AdamW step moves every entry of B by the learning rate, whatever its size.")
    torch.optim.AdamW([layer.lora_A, layer.lora_B], lr=RATE, weight_decay=0.0).step()
    moved = layer.lora_B.detach().abs()
    print(f"   |ΔB| lies between {moved.min():.6f} and {moved.max():.6f}; the rate is {RATE}")

    print("4. The update is a matrix of rank r, and merging it costs one addition.")
    delta = layer.delta_weight().detach()
    values = torch.linalg.svdvals(delta)
    print(f"   singular values above 1e-6 of the largest: {int((values > 1e-6 * values[0]).sum())}")
    before = layer(t["x"]).detach()
    error = (layer.merge_()(t["x"]).detach() - before).abs().max()
    print(f"   merged, the outputs differ by less than 1e-5: {bool(error < 1e-5)}")

    print("5. What is trained.")
    trained = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    print(f"   r (in + out) = {RANK} × ({IN} + {OUT}) = {RANK * (IN + OUT)}; counted: {trained}")
    print(f"   in × out = {IN * OUT}; share {trained / (IN * OUT):.2%}")


if __name__ == "__main__":
    main()
