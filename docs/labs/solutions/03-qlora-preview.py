# %% [markdown]
# # Lab 03: QLoRA, a preview
#
# **What you build.** NF4 from its sixteen values: one block of 64 weights, a matrix, two codes in
# a byte, a Linear that holds its weight in 4 bits; then the MiniGPT on such Linears, and LoRA on
# it.
#
# **From which theory.** [Memory footprint](../theory/03-memory-footprint.md#nf4).
#
# **What you will see.** Which values 4 bits are spent on and what the rounding costs; that the
# blocks' weights shrink seven times; that an adapter on the 4-bit base differs from the same
# adapter on the float base by hardly more than the rounding alone; and that it trains there as
# well.
#
# **How.** Fill one gap after the other, and after each one run `minituner check 03 YOUR_FILE`.
# The last steps use the base of lab 02. [README.md](README.md) says how the labs work.

# %%
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner import data, train
from minituner.lora import load_lora_state_dict, lora_state_dict, wrap_minigpt_with_lora
from minituner.model import MiniGPT
from minituner.nf4 import code_values

torch.set_num_threads(1)  # the quickest for a model this small
torch.manual_seed(0)
BLOCK = 64  # weights that share one absmax
CODE = code_values()  # the sixteen values, ascending from −1 to 1; CODE[7] is 0
TUNING = {"steps": 100, "batch_size": 32, "learning_rate": 0.0005, "warmup": 20, "eval_every": 100}


# %% [markdown]
# ## Step 1: One block
#
# Four bits make sixteen values. `CODE` has them: quantiles of a normal distribution, since
# trained weights are nearly normal, zero among them (theory 3 derives them). To quantize 64
# weights,
#
# 1. divide them by their largest magnitude, `absmax`;
# 2. replace each quotient by the number, 0 to 15, of the **nearest** value of `CODE`.
#
# The weights again are the values that the codes stand for, times absmax. PyTorch takes a uint8
# index for a mask: look values up with `CODE[codes.long()]`.


# %%
def quantize_block(block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The codes, uint8 (64,), and absmax, a scalar, of floats (64,)."""
    # gap: step 1: absmax, and the number of the nearest value for each weight
    absmax = block.abs().max()
    distances = (block[:, None] / absmax - CODE).abs()
    return distances.argmin(dim=1).to(torch.uint8), absmax
    # end gap


def dequantize_block(codes: torch.Tensor, absmax: torch.Tensor) -> torch.Tensor:
    """What the codes (64,) stand for, floats (64,)."""
    # gap: step 1: the codes' values, times absmax
    return CODE[codes.long()] * absmax
    # end gap


# %%
if __name__ == "__main__":
    print("The sixteen values:", " ".join(f"{value:.2f}" for value in CODE.tolist()))
    weights = torch.randn(100, BLOCK)
    again = torch.stack([dequantize_block(*quantize_block(block)) for block in weights])
    absmax = weights.abs().amax(dim=1, keepdim=True)
    evenly = (weights / absmax * 7).round() / 7 * absmax  # fifteen evenly spaced values
    for name, rounded in (("NF4", again), ("evenly spaced values", evenly)):
        error = (rounded - weights).square().mean().sqrt() / weights.std()
        print(f"{name}: the rounding error is {error:.1%} of the weights' own size.")


# %% [markdown]
# ## Step 2: A matrix
#
# A weight is read row by row as one long list, and every 64 numbers in turn are a block with an
# absmax of its own. Blocks do not care where a row ends. (Every weight of the MiniGPT fills whole
# blocks.)
#
# You may loop over the blocks with step 1, or write it for all blocks at once.


# %%
def quantize(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The codes, uint8 (n,), and absmax, floats (n / 64,), of a weight with n numbers."""
    # gap: step 2: cut the weight into blocks of 64, and quantize each
    blocks = weight.reshape(-1, BLOCK)
    absmax = blocks.abs().amax(dim=1)
    distances = (blocks[:, :, None] / absmax[:, None, None] - CODE).abs()
    return distances.argmin(dim=2).to(torch.uint8).flatten(), absmax
    # end gap


def dequantize(codes: torch.Tensor, absmax: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The weight again, floats, from the codes (n,) and absmax (n / 64,)."""
    # gap: step 2: values times the absmax of their block, in the weight's shape
    values = CODE[codes.long()].view(-1, BLOCK)
    return (values * absmax[:, None]).view(shape)
    # end gap


# %% [markdown]
# ## Step 3: Two codes a byte
#
# The smallest number that a computer addresses is a byte, which has room for two codes. As in
# bitsandbytes, the first of a pair takes the high half: a byte is 16 times the first code plus
# the second, in bits `first << 4 | second`.


# %%
def pack(codes: torch.Tensor) -> torch.Tensor:
    """Bytes, uint8 (n / 2,), of codes, uint8 (n,), n even."""
    # gap: step 3: the first code of each pair in the high half, the second in the low half
    return codes[0::2] << 4 | codes[1::2]
    # end gap


def unpack(packed: torch.Tensor) -> torch.Tensor:
    """The codes again, uint8 (n,), of bytes (n / 2,)."""
    # gap: step 3: both codes of each byte, in their order
    return torch.stack([packed >> 4, packed & 15], dim=1).flatten()
    # end gap


# %% [markdown]
# ## Step 4: A Linear in 4 bits
#
# `NF4Linear` takes the place of a trained `nn.Linear`. It keeps **no float weight**: only the
# packed codes and absmax, as buffers (`self.register_buffer(name, tensor)`), which move with the
# module and are never trained; and the bias, a buffer as it is, or None. Make all of them from
# `linear.weight.detach()` and `linear.bias.detach()`, else the buffers drag the float weight and
# its gradient along. `forward` makes the weight anew, uses it and drops it. The gradient with
# respect to x must pass, or no layer below could learn.


# %%
class NF4Linear(nn.Module):
    """A frozen Linear whose weight is held in 4 bits, (…, in) → (…, out)."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        # gap: step 4: register the packed codes, absmax and the bias as buffers
        codes, absmax = quantize(linear.weight.detach())
        self.register_buffer("packed", pack(codes))
        self.register_buffer("absmax", absmax)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())
        # end gap

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x Wᵀ + b."""
        # gap: step 4: make the weight from its codes, and apply it
        shape = (self.out_features, self.in_features)
        weight = dequantize(unpack(self.packed), self.absmax, shape)
        return F.linear(x, weight, self.bias)
        # end gap


# %% [markdown]
# ## Step 5: The model in 4 bits
#
# Put an `NF4Linear` in place of every `nn.Linear` of the blocks: `q_proj`, `k_proj`, `v_proj` and
# `o_proj` of `block.attn`, `fc1` and `fc2` of `block.mlp`. Embeddings and norms stay as they are.
# Then freeze the parameters that are left, and return the model. `setattr(owner, name, layer)`
# replaces a layer.
#
# And measure: `held_bytes` adds up `nbytes` of all parameters and buffers.


# %%
def quantize_model(model: MiniGPT) -> MiniGPT:
    """Hold the Linears of every block in NF4 and freeze the rest, in place; returns the model."""
    # gap: step 5: an NF4Linear in place of each Linear of each block
    for block in model.blocks:
        for owner in (block.attn, block.mlp):
            for name, layer in list(owner.named_children()):
                setattr(owner, name, NF4Linear(layer))
    return model.requires_grad_(False)
    # end gap


def held_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    # gap: step 5: bytes of parameters and buffers
    return sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    # end gap


# %% [markdown]
# ## Step 6: The same adapter on both bases
#
# How much does a 4-bit base change what a finished adapter does? Take an adapter that was trained
# on the float base, and put it on the 4-bit base: quantize a copy of the base, wrap it
# (`wrap_minigpt_with_lora` with the same rank and alpha puts LoRA on `q_proj` and `v_proj`, and
# takes your `NF4Linear` for the base), and copy the numbers (`lora_state_dict`,
# `load_lora_state_dict`), so that the two models share no tensor.
#
# `difference` is the mean of |Δlogit| over all ids. The bar of the experiment: with the adapter
# the two models differ by at most 1.25 times what quantizing alone changes.


# %%
def on_nf4(base: MiniGPT, trained: MiniGPT, rank: int, alpha: float) -> MiniGPT:
    """The base in NF4 with the adapter of `trained`; both arguments stay as they are."""
    # gap: step 6: a quantized copy of the base, wrapped, with the adapter's numbers
    model = quantize_model(copy.deepcopy(base))
    wrap_minigpt_with_lora(model, rank, alpha)
    return load_lora_state_dict(model, lora_state_dict(trained))
    # end gap


@torch.no_grad()
def difference(one: MiniGPT, other: MiniGPT, ids: torch.Tensor) -> float:
    """Mean magnitude of the difference of the logits, for ids (B, T)."""
    # gap: step 6: the mean of the absolute differences
    return float((one(ids) - other(ids)).abs().mean())
    # end gap


# %% [markdown]
# ## Step 7: Training on 4 bits
#
# The last step is QLoRA itself: the base stays in 4 bits, an adapter in floats is trained on it.
# `tune` is the loop of lab 02, from the package, at half of its rate: a base that was rounded to 4
# bits forgets more easily. What it gains and forgets is measured against the base in NF4, where it
# starts. Prepare the model for it.


# %%
def qlora(base: MiniGPT, rank: int, alpha: float) -> MiniGPT:
    """A copy of the base in NF4, with a fresh adapter that alone is trainable."""
    # gap: step 7: a quantized copy of the base, wrapped
    return wrap_minigpt_with_lora(quantize_model(copy.deepcopy(base)), rank, alpha)
    # end gap


def tune(model: MiniGPT, rows: list[dict]) -> MiniGPT:
    """Tune what is trainable on the rows, in place; returns the model."""
    examples = data.completions(rows)
    train.tune(model, TUNING, {"train": examples, "val": examples[:32]}, seed=0)
    return model


# %%
if __name__ == "__main__":
    import functools

    from minituner import evaluate
    from minituner.labs import material

    base, rows, irregular, _ = material.load()
    nf4 = quantize_model(copy.deepcopy(base))
    print(f"The base takes {held_bytes(base):,} bytes, in NF4 {held_bytes(nf4):,}:", end=" ")
    print(f"{held_bytes(base) / held_bytes(nf4):.1f} times less.")
    lora = tune(wrap_minigpt_with_lora(copy.deepcopy(base), 4, 8.0), rows)
    ids, _ = data.batch([row["text"] for row in irregular], base.config.vocab)
    alone, together = difference(base, nf4, ids), difference(lora, on_nf4(base, lora, 4, 8.0), ids)
    print(f"Quantizing moves the logits by {alone:.3f} on average, with the adapter on top")
    print(f"by {together:.3f}, {together / alone:.2f} times as much; the bar is 1.25.")
    models = {"base": base, "NF4 base": nf4, "LoRA": lora}
    models["QLoRA"] = tune(qlora(base, 4, 8.0), rows)
    for name, model in models.items():
        scores = evaluate.score_rows(functools.partial(evaluate.score, model.eval()), irregular)
        right = sum(row["chosen"] for row in scores) / len(scores)
        print(f"{name}: {right:.0%} of the irregular pasts right.")


# %% [markdown]
# **Going further.** In your `forward` the backward pass keeps a float copy of each layer's weight
# until it has passed: count it with `forward` of lab 01, and read how
# [`NF4Linear`](../../minituner/nf4.py) of the package avoids it. Merge an adapter into the 4-bit
# weight, quantize again, and look where the update went. What do absmax in 8 bits save
# (`_double`)?
