# %% [markdown]
# # Lab 02: Fine-tune
#
# **What you build.** The whole of the experiment in small: a MiniGPT that says *goed* is tuned on
# correct sentences, by LoRA at several ranks and by full fine-tuning, and you measure what it
# learnt and what it forgot.
#
# **From which theory.** [Fine-tuning and forgetting](../theory/01-sft-and-forgetting.md).
#
# **What you will see.** That an adapter of rank 1 repairs most irregular verbs in a hundred
# steps; that a higher rank buys less forgetting; and that the learning rate decides whether full
# fine-tuning forgets far more than LoRA or as little.
#
# **How.** Fill one gap after the other, and after each one run `minituner check 02 YOUR_FILE`.
# The last steps tune the real base, `results/base`, if you have run `make all`, and otherwise a
# smaller one, which is trained once for you. Either way a run takes minutes at most.
# [README.md](README.md) says how the labs work.
#
# A row of the data is a dict. `text` is a correct sentence, `prompt` its beginning up to the
# verb's form, `form` the form, and `alternatives` are wrong forms that compete with it:
#
#     text          "go: yesterday she went to school."
#     prompt        "go: yesterday she "
#     form          "went"
#     alternatives  ["goed", "go", "wented"]

# %%
import copy
import math
import random

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from minituner.data import encode
from minituner.lora import LoRALinear  # yours of lab 00 will do
from minituner.model import IGNORE, MiniGPT
from minituner.train import learning_rate_at

torch.set_num_threads(1)  # the quickest for a model this small
ALPHA = 8.0  # the same for every rank
STEPS, WARMUP, BATCH = 100, 20, 32


def closed(row: dict, form: str) -> str:
    """A form and the character that closes it in the row's sentence: "went " or "went.".

    Without it "go" could not be told from the beginning of "goed".
    """
    end = len(row["prompt"]) + len(row["form"])
    return form + (row["text"][end : end + 1] or "\n")


# %% [markdown]
# ## Step 1: What the loss sees
#
# Tuning teaches the form and the character that closes it, nothing else: the prompt is given. A
# sentence begins with `\n`, the symbol with the id 0, and a causal model predicts each symbol
# from those before it. So for the symbols s₀ s₁ … sₙ of `"\n" + prompt + closed form`,
#
# - `ids` are s₀ … sₙ₋₁ and the targets s₁ … sₙ, one place further: target t is what `ids[t]`
#   leads to;
# - a target that is no part of the closed form is `IGNORE`, and the loss leaves it out;
# - what follows the form is cut off: it cannot change the loss;
# - rows are filled up to the longest with id 0 and target `IGNORE`.
#
# `encode(text, vocab)` gives the ids of a text, a list.


# %%
def batch(rows: list[dict], vocab: str) -> tuple[torch.Tensor, torch.Tensor]:
    """`ids` and `targets`, int64, (rows, the longest prompt and closed form together)."""
    raise NotImplementedError("step 1: ids, and targets that show the loss the closed form alone")


# %% [markdown]
# ## Step 2: How likely a form is
#
# log P(form | prompt) is the sum over the form's symbols of the logarithm of the probability that
# the model gives to each, all symbols before it being given. `model(ids)` are logits, (1, T, V),
# for ids (1, T); `F.log_softmax` makes logarithms of probabilities of them. Mind the place: the
# logits at position t are about the symbol at t + 1. Put `"\n"` in front of the prompt, as above.
# `form` comes as it is to be scored: step 3 closes it before it asks.


# %%
@torch.no_grad()
def log_probability(model: MiniGPT, prompt: str, form: str) -> float:
    """log P(form | prompt), in nats."""
    raise NotImplementedError("step 2: the sum of the log-probabilities of the form's symbols")


# %% [markdown]
# ## Step 3: What was learnt
#
# The model is right about a row if the closed form is likelier than **every** closed alternative.
# The accuracy is the share of the rows that it is right about, from 0 to 1.


# %%
def accuracy(model: MiniGPT, rows: list[dict]) -> float:
    """Share of the rows where the right form is likelier than every alternative."""
    raise NotImplementedError("step 3: how often the closed form beats all closed alternatives")


# %% [markdown]
# ## Step 4: What was forgotten
#
# The control are sentences of regular verbs, which tuning must leave alone. Their **perplexity**
# is exp(H), where H is the mean of −log p over all symbols of all sentences together, the `\n`
# that ends a sentence included; `text` does not contain it, so append it. (The `\n` in front is
# given and not scored.) The **drift** is by what share the perplexity rose: 0.02 for two percent
# more.


# %%
def perplexity(model: MiniGPT, texts: list[str]) -> float:
    """exp of the mean negative log-probability of a symbol, over all symbols of all sentences."""
    raise NotImplementedError("step 4: sum over all sentences and symbols first, then divide, then exp")


def drift(before: float, after: float) -> float:
    """By what share a perplexity rose."""
    raise NotImplementedError("step 4: the rise as a share of what it was before")


# %% [markdown]
# ## Step 5: What is trained
#
# With a rank, freeze **every** parameter of the model, embeddings and norms too, and then put a
# `LoRALinear(linear, rank, ALPHA)` in place of `q_proj` and of `v_proj` in each block; its A and
# B are then all that asks for a gradient. A block is `model.blocks[i]`, and its Linears are
# `block.attn.q_proj` and so on. Without a rank every parameter is trained: full fine-tuning.
# Either way work in place, and return the model.


# %%
def prepare(model: MiniGPT, rank: int | None) -> MiniGPT:
    """Make trainable what is to be trained, in place: an adapter of a rank, or, for None, all."""
    raise NotImplementedError("step 5: freeze all, then wrap q_proj and v_proj of each block; or train all")


# %% [markdown]
# ## Step 6: The loop
#
# For each batch and its rate: set the optimizer's rate, clear the gradients, compute
# `model.loss(ids, targets)`, go backward, step. Take `torch.optim.AdamW` with `weight_decay=0.0`,
# give it the parameters that ask for a gradient, and make it once, before the first batch.


# %%
def fit(model: MiniGPT, batches: list, rates: list[float]) -> None:
    """Train in place: one step of AdamW for each batch `(ids, targets)`, at its own rate."""
    raise NotImplementedError("step 6: one step for each batch")


# %% [markdown]
# ## Step 7: The rates
#
# The rate rises over the first `WARMUP` steps and then falls (`learning_rate_at`). Its peak is
# yours to choose. For adapters 0.001 is a good one, and the same for every rank, since α is.
#
# Full fine-tuning moves every weight by about the rate in each step, and each layer's moves add
# up. At the adapters' rate it forgets many times as much, and whoever compares it with LoRA there
# has measured the rate and not the method. **Give it a rate of its own**, such that its drift
# stays below 5 %. A tenth of the adapters' is a good start; it must still learn, and gain at least
# 10 points of accuracy.


# %%
def peak_rate(rank: int | None) -> float:
    """The highest learning rate: of an adapter of a rank or, for None, of full fine-tuning."""
    raise NotImplementedError("step 7: a rate for adapters, and another for full fine-tuning")


def tuned(base: MiniGPT, rows: list[dict], rank: int | None) -> MiniGPT:
    """A copy of the base, tuned on the rows."""
    torch.manual_seed(0)
    model = prepare(copy.deepcopy(base), rank)
    draw = random.Random(0)
    batches = [batch(draw.sample(rows, BATCH), base.config.vocab) for _ in range(STEPS)]
    rates = [learning_rate_at(step, STEPS, WARMUP, peak_rate(rank)) for step in range(STEPS)]
    fit(model, batches, rates)
    return model.eval()


# %% [markdown]
# ## Step 8: The sweep and its picture
#
# `sweep` is written: it tunes with each rank and measures. Draw what it gives: in one plot the
# accuracy as a line over the adapters' ranks, in one beside it the drift, both in percent. Plot
# against the rank itself, make that axis logarithmic (`axes.set_xscale("log")`), and label the
# axes. Full fine-tuning has no rank; show it as a horizontal line in each plot.
#
# **The bars.** One adapter of your sweep must gain at least 10 points of accuracy over the base
# and drift by at most 5 %, as the experiment's own must (`definition_of_done` in `params.yaml`).


# %%
def sweep(material: tuple, ranks: tuple) -> list[dict]:
    """For each rank what the tuned model has learnt and forgotten; None is full fine-tuning."""
    base, train, irregular, control = material
    texts = [row["text"] for row in control]
    before = perplexity(base, texts)
    results = [{"rank": "base", "accuracy": accuracy(base, irregular), "drift": 0.0}]
    for rank in ranks:
        model = tuned(base, train, rank)
        gained, forgotten = accuracy(model, irregular), drift(before, perplexity(model, texts))
        results.append({"rank": rank, "accuracy": gained, "drift": forgotten})
        print(f"rank {rank}: accuracy {gained:.0%}, drift {forgotten:+.1%}", flush=True)
    return results


def picture(results: list[dict]) -> Figure:
    """Accuracy and drift against rank; full fine-tuning, with rank None, as a horizontal line."""
    raise NotImplementedError("step 8: two plots against the rank")


# %%
if __name__ == "__main__":
    from minituner.labs import material

    loaded = material.load()
    print(f"The base is right about {accuracy(loaded.base, loaded.irregular):.0%}.")
    results = sweep(loaded, (1, 4, 16, None))
    picture(results).savefig("lab_02.png")
    print("The picture is in lab_02.png.")


# %% [markdown]
# **Going further.** Tune with the loss on the whole sentence instead of the form, and see what it
# does to both plots. Give full fine-tuning five rates between 0.00001 and 0.001, and draw its
# accuracy against its drift: LoRA's points lie on which side of that curve? Leave one verb out of
# the rows to tune on: is it repaired too? ([science.md](../science.md) has the answers of the
# experiment.)
