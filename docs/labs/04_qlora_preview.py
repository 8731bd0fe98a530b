"""Lab 4: a preview of QLoRA. Sixteen codes, one block by hand, and LoRA on a 4-bit base.

    python docs/labs/04_qlora_preview.py

Theory: docs/theory/03-memory-footprint.md. Takes a few seconds.
"""

import minituner  # noqa: F401, I001  first of all, before torch is loaded: it pins the kernels
import torch

from minituner import compute, nf4, qlora
from minituner.foundation.errors import UserError
from minituner.lora import LoRALinear

BLOCK, SIDE = 64, 256


def block_by_hand(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(64,) floats → their codes 0 … 15 and what the codes say: nearest value × absmax."""
    absmax = weights.abs().max()
    values = nf4.code_values()
    codes = (weights[:, None] / absmax - values).abs().argmin(dim=1)
    return codes, values[codes] * absmax


def uniform_codes(weights: torch.Tensor) -> torch.Tensor:
    """The same with 15 evenly spaced values: integers in 4 bits (−7 … 7)."""
    blocks = weights.view(-1, BLOCK)
    absmax = blocks.abs().amax(dim=1, keepdim=True)
    return ((blocks / absmax * 7).round() / 7 * absmax).view(weights.shape)


def lora_on(linear: torch.nn.Module, seed: int) -> LoRALinear:
    """An adapter with a small, non-zero B, as after some training."""
    draw = compute.generator(seed, "lab 4", "adapter")
    layer = LoRALinear(linear, r=4, alpha=8.0, generator=draw)
    torch.nn.init.normal_(layer.lora_B, std=3e-4, generator=draw)
    return layer


@torch.no_grad()
def main() -> None:
    """Print each fact."""
    draw = compute.generator(0, "lab 4")
    linear = torch.nn.Linear(SIDE, SIDE, bias=False)
    torch.nn.init.normal_(linear.weight, std=0.02, generator=draw)
    weight = linear.weight.detach()

    print("1. The 16 values: quantiles of a normal distribution, 0 among them.")
    values = nf4.code_values()
    print("  ", " ".join(f"{v:.3f}" for v in values.tolist()))
    gaps = values.diff()
    print(f"   gaps from {gaps.min():.3f} near zero to {gaps.max():.3f} at the edge")

    print("2. One block of 64 weights by hand, and by nf4.quantize.")
    block = weight[0, :BLOCK]
    codes, again = block_by_hand(block)
    packed, state = nf4.quantize(block)
    nibbles = torch.stack([packed[:, 0] >> 4, packed[:, 0] & 15], dim=1).view(-1)
    print(f"   the same codes: {torch.equal(codes.to(torch.uint8), nibbles)}")
    print(f"   the same floats: {torch.equal(again, nf4.dequantize(packed, state))}")
    within = (again - block).abs().max() <= gaps.max() / 2 * block.abs().max()
    print(f"   no error above half the widest gap × absmax: {bool(within)}")

    print("3. What it takes and what it costs, on 256 × 256 weights.")
    packed, state = nf4.quantize(weight)
    held = packed.nbytes + state.absmax.nbytes
    bits = 8 * held / weight.numel()
    print(f"   {weight.nbytes:,} bytes in float32, {held:,} in NF4: {bits} bits each")
    error = (nf4.dequantize(packed, state) - weight).square().mean().sqrt() / weight.std()
    uniform = (uniform_codes(weight) - weight).square().mean().sqrt() / weight.std()
    print(f"   error, root mean square in units of the weights' own: NF4 {error:.3f},")
    print(f"   15 evenly spaced values {uniform:.3f}")

    print("4. LoRA on the 4-bit layer: W stays in 4 bits, A and B in floats.")
    packed_linear = nf4.NF4Linear.from_linear(linear)
    x = torch.randn(8, SIDE, generator=draw)
    layer = lora_on(packed_linear, 0)
    alone = packed_linear(x) - linear(x)
    together = layer(x) - lora_on(linear, 0)(x)
    print(f"   quantizing moves the output by {alone.abs().mean():.4f} on average,")
    print(f"   with the same adapter on top by {together.abs().mean():.4f}")

    print("5. Merging: refused, because 16 values cannot hold a small update.")
    try:
        layer.merge_()
    except UserError as error:
        print(f"   {str(error).partition(':')[0]}: refused")
    merged = qlora.merged_float_linear(layer)
    print(f"   merged in floats, equal: {torch.allclose(merged(x), layer(x), atol=1e-5)}")
    delta = merged.weight - packed_linear.dequantized()
    lost = nf4.dequantize(*nf4.quantize(merged.weight)) - merged.weight
    print(
        f"   rounded to 4 bits again, the error is {lost.norm() / delta.norm():.1f} × the update:"
    )
    print("   it is gone, since each weight falls back on the value that it had")


if __name__ == "__main__":
    main()
