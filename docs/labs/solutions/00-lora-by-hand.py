# %% [markdown]
# # Lab 00: LoRA by hand
#
# **What you build.** `LoRALinear`, in plain PyTorch: a Linear that is frozen, and beside it an
# update of low rank that is trained. Some twenty lines; everything else in this course stands on
# them.
#
# **From which theory.** [The gradient of an
# adapter](../theory/01-sft-and-forgetting.md#the-gradient-of-an-adapter) and [the count for one
# layer](../theory/02-parameter-count.md#one-layer).
#
# **What you will see.** That a fresh layer changes nothing; that the first step moves B alone,
# each entry by the learning rate; that the update has rank r; and that it can be merged into the
# weight so that using it costs nothing.
#
# **How.** Fill one gap after the other, and after each one run `minituner check 00 YOUR_FILE`. It
# stops at the first thing that is wrong, says what it is and where to read.
# [README.md](README.md) says how the labs work.

# %%
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


# %% [markdown]
# ## Step 1: A fresh layer
#
# Let `base` be a trained `nn.Linear` with the weight W, a matrix of `out` rows and `in` columns.
# LoRA leaves W as it is and adds the product of two thin matrices to it:
#
#     y = W x + (α/r) B A x        A has r rows and `in` columns, B has `out` rows and r columns
#
# Write the end of `__init__`:
#
# - `base` is frozen: none of its parameters asks for a gradient.
# - `lora_A`, an `nn.Parameter` of the shape (r, in), starts **random**. Any small numbers do, for
#   instance what PyTorch gives a Linear's own weight, `nn.init.kaiming_uniform_(tensor, a=5**0.5)`,
#   from which the numbers at this page's end are.
# - `lora_B`, an `nn.Parameter` of the shape (out, r), starts at **zero**. So B A is zero, and the
#   layer begins as what it adapts. Were both zero, both gradients would be zero for ever (step
#   3).
# - `scaling` is α/r. With α fixed the step that training takes does not depend on the rank
#   (theory 1).
#
# The other methods of this class are steps 2, 4 and 5; leave them for now.


# %%
class LoRALinear(nn.Module):
    """A frozen Linear with a trained update of low rank, (…, in) → (…, out).

    Args:
        base: the `nn.Linear` to adapt.
        r: rank of the update.
        alpha: numerator of the scaling α/r.
    """

    def __init__(self, base: nn.Linear, r: int, alpha: float):
        super().__init__()
        self.base = base
        # gap: step 1: freeze the base; make lora_A, random, lora_B, zero, and scaling
        base.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)
        self.scaling = alpha / r
        self.merged = False  # for step 5
        # end gap

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """W x + b + (α/r) B A x for rows x; just the base once the update is merged."""
        # gap: step 2: the base's output, and the update's
        y = self.base(x)
        if self.merged:
            return y
        return y + self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)
        # end gap

    def delta_weight(self) -> torch.Tensor:
        """(α/r) B A: the update as one matrix, (out, in)."""
        # gap: step 4: the update as one matrix
        return self.scaling * (self.lora_B @ self.lora_A)
        # end gap

    @torch.no_grad()
    def merge_(self) -> "LoRALinear":
        """Add the update to the base's weight, once; returns the layer."""
        # gap: step 5: add the update to the base's weight, and have `forward` know it
        if not self.merged:
            self.base.weight += self.delta_weight()
            self.merged = True
        return self
        # end gap


# %% [markdown]
# ## Step 2: The update
#
# Write `forward`. A batch holds a vector x a row, so W x is `x @ W.T`, which is what `base(x)`
# and `F.linear(x, W)` compute, for a single vector and for rows of rows, (…, in), as well.
# Applying A first is cheaper: `x @ A.T` has r numbers a row. Were B A multiplied out first, which
# gives the same, each call would pay for a whole (out, in) matrix. The gradient must reach x
# through both terms, since the layers below learn from it.

# %%
if __name__ == "__main__":
    layer = LoRALinear(nn.Linear(64, 64), r=2, alpha=8.0)
    x = torch.randn(5, 64)
    print("A fresh layer gives what its base gives:", torch.equal(layer(x), layer.base(x)))
    trained = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    print(f"It trains {trained} numbers, r (in + out) = 2 × (64 + 64); W has {64 * 64}.")


# %% [markdown]
# ## Step 3: The gradients
#
# Let L be a loss and G = ∂L/∂y its gradient with respect to the layer's output: one row for each
# row of x. A weight that is not frozen would get ∂L/∂W = Gᵀ x, of the shape (out, in). (In
# theory 1 the letter G is that product.) Now W_eff = W + (α/r) B A. By the chain rule,
#
#     ∂L/∂A = (α/r) Bᵀ (Gᵀ x)          ∂L/∂B = (α/r) (Gᵀ x) Aᵀ
#
# Write both. The cell below holds them against autograd, and then takes one step of AdamW. Since
# B is zero, ∂L/∂A is zero too: **the first step moves B alone.** And Adam divides each gradient
# by its own size, so every entry of B moves by the learning rate, whatever its gradient was.


# %%
@torch.no_grad()
def gradients(
    layer: LoRALinear, x: torch.Tensor, G: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """∂L/∂A (r, in) and ∂L/∂B (out, r), for rows x (N, in) and G = ∂L/∂y (N, out)."""
    # gap: step 3: both gradients by the chain rule
    full = G.T @ x
    return layer.scaling * layer.lora_B.T @ full, layer.scaling * full @ layer.lora_A.T
    # end gap


# %%
if __name__ == "__main__":
    G = torch.randn(5, 64)
    (layer(x) * G).sum().backward()  # a loss whose gradient with respect to the output is G
    for name, by_hand in zip(("lora_A", "lora_B"), gradients(layer, x, G), strict=True):
        gradient = getattr(layer, name).grad
        equal = torch.allclose(by_hand, gradient, atol=1e-4)
        print(f"{name}: largest gradient {gradient.abs().max():.4f}, as by hand: {equal}")
    print("W's gradient is", layer.base.weight.grad)
    torch.optim.AdamW([layer.lora_A, layer.lora_B], lr=0.001, weight_decay=0.0).step()
    moved = layer.lora_B.detach().abs()
    print(f"A step at the rate 0.001 moved B's entries by {moved.min():.6f} to {moved.max():.6f}.")


# %% [markdown]
# ## Step 4: The rank
#
# Write `delta_weight`: (α/r) B A as one matrix. Each of its columns is a mixture of B's r
# columns, so its rank is at most r, and all but r of its singular values are zero.

# %%
if __name__ == "__main__":
    layer.lora_B.data.normal_(std=0.1)  # as after some training
    values = torch.linalg.svdvals(layer.delta_weight().detach())
    print("The four largest singular values of ΔW:", [round(v, 4) for v in values[:4].tolist()])


# %% [markdown]
# ## Step 5: Merging
#
# A finished adapter can be added to the weight: W ← W + (α/r) B A. From then on the layer costs
# what its base cost alone. Write `merge_`, and mind two things. `forward` must not add the update
# *again*; and a second call of `merge_` must change nothing. So the layer has to
# remember whether it is merged, in an attribute that `__init__` sets. And W stays frozen.

# %%
if __name__ == "__main__":
    before = layer(x).detach()
    after = layer.merge_()(x).detach()
    print(f"Merged, outputs move by less than 1e-5: {bool((after - before).abs().max() < 1e-5)}")


# %% [markdown]
# ## Step 6: As others have it
#
# Nothing is left to write. The check copies your A and B into `minituner.lora.LoRALinear` and,
# where PEFT is installed (`make peers`), into PEFT's own layer, and compares outputs and merged
# weights.
#
# **Going further.** What becomes of the first step if A starts at zero and B is random? Why would
# freezing A at its random values still work, at half the numbers? With α = 2r instead of a fixed
# α, how does the first step's effect on y grow with r? (Theory 1 derives it, and lab 02 uses it.)
