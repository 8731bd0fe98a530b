# %% [markdown]
# # Lab 01: Parameters and bytes
#
# **What you build.** The formulas by which one knows, before anything is loaded, how many numbers
# a way of tuning trains and how many bytes its step takes; and the measurement that holds them to
# account on a live model.
#
# **From which theory.** [Parameter count](../theory/02-parameter-count.md) and [memory
# footprint](../theory/03-memory-footprint.md).
#
# **What you will see.** That an adapter is a small share of a *wide* model and a large one of a
# narrow one; that LoRA makes gradients and optimizer vanish but not the weights, which is what
# NF4 is for; and that on a model this small neither touches the largest bucket, the activations.
#
# **How.** Fill one gap after the other, and after each one run `minituner check 01 YOUR_FILE`.
# Your formulas are held against live models of twenty random shapes, to the last number.
# [README.md](README.md) says how the labs work.

# %%
import torch

from minituner.lora import wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from minituner.qlora import wrap_minigpt_qlora

FLOAT = 4  # bytes of a float32
QV = ("q_proj", "v_proj")
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2")
torch.manual_seed(0)


# %% [markdown]
# ## Step 1: The model
#
# The model is in `minituner/model.py`: read the classes `Attention` to `MiniGPT` in it. `config`
# has `vocab_size` V, `context` T, `d_model` d, `d_ff` f and `n_layer`. Count every number of the
# model, by a formula of these, without building one:
#
# - the embeddings of the V symbols and of the T positions, d numbers each;
# - a block: four Linears of attention, d × d and **without bias**; `fc1` and `fc2`, d × f and f ×
#   d, **with** bias; two LayerNorms, each with a weight and a bias;
# - one LayerNorm behind the last block;
# - the head is the symbols' embedding once more, *the same* tensor, and counts once.


# %%
def model_parameters(config: ModelConfig) -> int:
    """How many numbers a MiniGPT has."""
    # gap: step 1: embeddings, blocks and the last norm
    d, f = config.d_model, config.d_ff
    embeddings = config.vocab_size * d + config.context * d
    mlp = d * f + f + f * d + d
    block = 4 * d * d + mlp + 2 * 2 * d
    return embeddings + config.n_layer * block + 2 * d
    # end gap


# %%
if __name__ == "__main__":
    config = ModelConfig(vocab="".join(map(chr, range(65, 65 + 29))))  # as wide as the experiment's
    live = sum(p.numel() for p in MiniGPT(config).parameters())
    print(f"By formula {model_parameters(config):,}, counted on the model {live:,}.")


# %% [markdown]
# ## Step 2: The adapter
#
# LoRA adds to a Linear of `out` × `in` numbers A, of r × in, and B, of out × r. Sum over the
# targets and over the blocks. A target is a name: one of the four of attention, all d × d, or
# `fc1`, from d to f, or `fc2`, back.


# %%
def adapter_parameters(config: ModelConfig, rank: int, targets: tuple[str, ...]) -> int:
    """How many numbers LoRA trains on the named Linears of every block."""
    # gap: step 2: r (in + out) of each target, in each block
    d, f = config.d_model, config.d_ff
    both_sides = {name: d + f if name in ("fc1", "fc2") else 2 * d for name in ALL}
    return config.n_layer * sum(rank * both_sides[name] for name in targets)
    # end gap


# %%
if __name__ == "__main__":
    wide = ModelConfig(vocab=config.vocab, n_layer=32, d_model=4096, d_ff=16384)
    for name, one in (("MiniGPT", config), ("64 times as wide, 32 blocks", wide)):
        share = adapter_parameters(one, 8, ALL) / model_parameters(one)
        print(f"{name}: r = 8 on all Linears is {share:.2%} of the model.")


# %% [markdown]
# ## Step 3: NF4
#
# In NF4 a weight is a code of half a byte, and every 64 weights share one `absmax`, a float32.
# Count the bytes of n weights. If n is no multiple of the blocksize, the last block is shorter
# but has its absmax all the same; an odd n leaves half a byte unused.


# %%
def nf4_bytes(n: int, blocksize: int = 64) -> int:
    """Bytes of n weights in NF4, their scales included."""
    # gap: step 3: codes and scales
    blocks = -(-n // blocksize)
    return -(-n // 2) + FLOAT * blocks
    # end gap


# %%
if __name__ == "__main__":
    n = 4096 * 4096
    print(f"NF4 takes {8 * nf4_bytes(n) / n} bits a weight, float32 takes 32.")


# %% [markdown]
# ## Step 4: Three buckets
#
# A step of training with AdamW holds
#
# | bucket | bytes |
# |---|---|
# | weights | of every number of the model, trained or not, and of the adapter |
# | gradients | one float32 for each **trained** number |
# | optimizer | two float32, the moments, for each **trained** number |
#
# `method` is `full`, where every weight is trained and there is no adapter, `lora` or `qlora`.
# QLoRA holds the *weights* of each block's six Linears in NF4, each quantized by itself; biases,
# norms, embeddings and the adapter stay in float32. (PyTorch's AdamW also keeps a step counter of
# 4 bytes for each tensor. Leave it out, here and in step 6.)


# %%
def bytes_by_formula(
    config: ModelConfig, method: str, rank: int = 0, targets: tuple[str, ...] = ()
) -> dict[str, int]:
    """Bytes of the buckets `weights`, `gradients` and `optimizer`."""
    # gap: step 4: the three buckets of each method
    P = model_parameters(config)
    adapter = 0 if method == "full" else adapter_parameters(config, rank, targets)
    trained = P if method == "full" else adapter
    weights = FLOAT * (P + adapter)
    if method == "qlora":
        d, f = config.d_model, config.d_ff
        for n in 4 * [d * d] + 2 * [d * f]:
            weights += config.n_layer * (nf4_bytes(n) - FLOAT * n)
    return {"weights": weights, "gradients": FLOAT * trained, "optimizer": 2 * FLOAT * trained}
    # end gap


# %% [markdown]
# ## Step 5: The fourth bucket
#
# To compute gradients, autograd keeps what the backward pass will read: the **activations**. For
# N rows through one Linear, from `in` to `out`, whose input needs a gradient itself:
#
# - its own weight is trained (`full`): ∂L/∂W = Gᵀ x, so the input x is kept;
# - its weight is frozen (`frozen`): ∂L/∂x = G W needs W alone, which is held anyway;
# - LoRA (`lora`): ∂L/∂A needs x, and ∂L/∂B needs A x; W needs nothing.


# %%
def kept_bytes(method: str, rows: int, into: int, out: int, rank: int) -> int:
    """Bytes that autograd keeps for one Linear, from `into` to `out`, of so many rows."""
    # gap: step 5: what each of the three ways keeps
    if method == "frozen":
        return 0
    return FLOAT * rows * (into + (rank if method == "lora" else 0))
    # end gap


# %% [markdown]
# ## Step 6: Measured
#
# `forward` below computes a loss and adds up what autograd keeps meanwhile; it is written for
# you. Take a step and count what the live tensors hold: `tensor.nbytes` of each parameter **and
# buffer** (the codes of NF4 are buffers, since no gradient reaches them), of each gradient there
# is, and of AdamW's two moments. They lie in `optimizer.state`, a dict for each parameter, as
# `exp_avg` and `exp_avg_sq`.


# %%
def forward(model: MiniGPT, ids: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The loss, and the bytes that autograd keeps for the backward pass, each storage once."""
    held = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model.loss(ids, targets)
    return loss, sum(kept.values())


def measured_bytes(model: MiniGPT, ids: torch.Tensor, targets: torch.Tensor) -> dict[str, int]:
    """Bytes of the buckets `weights`, `gradients`, `optimizer` and `activations` of a real step."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.001)
    loss, activations = forward(model, ids, targets)
    loss.backward()
    optimizer.step()
    # gap: step 6: bytes of weights, gradients and moments, and the activations from above
    return {
        "weights": sum(t.nbytes for t in [*model.parameters(), *model.buffers()]),
        "gradients": sum(p.grad.nbytes for p in model.parameters() if p.grad is not None),
        "optimizer": sum(
            state["exp_avg"].nbytes + state["exp_avg_sq"].nbytes
            for state in optimizer.state.values()
        ),
        "activations": activations,
    }
    # end gap


# %%
if __name__ == "__main__":
    ids = torch.randint(config.vocab_size, (32, 48))
    for method in ("full", "lora", "qlora"):
        model = MiniGPT(config)
        if method == "lora":
            wrap_minigpt_with_lora(model, 8, 8.0, QV)
        elif method == "qlora":
            wrap_minigpt_qlora(model, 8, 8.0, target_modules=QV)
        measured = measured_bytes(model, ids, ids)
        print(f"{method:6}", *(f"{bucket} {size:,}" for bucket, size in measured.items()))
        formula = bytes_by_formula(config, method, 8, QV)
        equal = all(measured[bucket] == size for bucket, size in formula.items())
        print(f"{'':6} as by formula: {equal}")


# %% [markdown]
# **Going further.** `minituner counts --shape llama-65b --rank 64` has the same formulas for
# models of any size: in 16 bits, without a float32 copy of the weights, full fine-tuning takes 12
# bytes a parameter, of which the weights are two. For which lengths of a sequence do a 7B model's
# activations outweigh its weights (`--batch`, `--tokens`)? Table 3 of the LoRA paper says 0.35 M
# for GPT-2 medium at rank 4 on q and v; what does your formula say? ([Theory
# 2](../theory/02-parameter-count.md#what-the-papers-count) tries.)
