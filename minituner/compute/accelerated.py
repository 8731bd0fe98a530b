"""A MiniGPT computed by compiled loops, put on from outside: the model does not know of it.

Sequences are packed, so that no padding is computed; behind the last block's attention only the
symbols that are looked at go on. What the loops do not know, the model's own modules compute.
"""

from os.path import commonprefix
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner import data
from minituner.compute import functions, sublayers
from minituner.compute.sequences import Packed, needed, needed_lengths, pack
from minituner.lora import LoRALinear
from minituner.model import IGNORE, MLP, Attention, Block, MiniGPT
from minituner.nf4 import NF4Linear

KNOWN = {MiniGPT, Block, Attention, MLP, LoRALinear, NF4Linear}
KNOWN |= {nn.Linear, nn.LayerNorm, nn.Embedding, nn.ModuleList}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
WIDEST = 256  # channels up to which the time between modules counts, and float weights are few


class Accelerated:
    """What a MiniGPT computes, fast; all else is the model's own, its parameters for instance.

    Args:
        model: stays as it is, and is what is trained.
    """

    def __init__(self, model: MiniGPT):
        self.model = model

    def __getattr__(self, name: str) -> Any:
        """The model's."""
        if name == "model":  # while a copy is being made, which has none yet
            raise AttributeError(name)
        return getattr(self.model, name)

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """The model's logits, (B, T, V), for ids (B, T)."""
        if unknown(self.model, ids.shape[1]):
            return self.model(ids)
        return self._logits(pack(ids, multiple=1)).view(*ids.shape, -1)

    def loss(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The model's loss, a scalar, for ids and targets (B, T).

        What no target needs is not computed: padding, what lies behind a sentence's last target,
        which a causal model cannot see from before, and the last layers where there is no target.
        """
        if unknown(self.model, ids.shape[1]) or not (targets != IGNORE).any():
            return self.model.loss(ids, targets)
        sequences, looked, wanted = needed(ids, targets)
        return F.cross_entropy(self._logits(sequences, looked), wanted, ignore_index=IGNORE)

    def sizes(self, ids: torch.Tensor, targets: torch.Tensor) -> tuple[int, int]:
        """How many symbols `loss` computes, and at how many of them it looks."""
        sequences, _, wanted = needed(ids, targets)
        return len(sequences.ids), len(wanted)

    @torch.no_grad()
    def score(self, prompts: list[str], forms: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """`evaluate.score` in one forward pass; what forms share is computed once."""
        texts = [prompt + form for prompt, form in zip(prompts, forms, strict=True)]
        ids, targets = data.batch(texts, self.model.config.vocab, list(map(len, forms)))
        is_form = targets != IGNORE
        wanted = targets[is_form]
        if unknown(self.model, ids.shape[1]):
            logits = self.model(ids)[is_form]
        else:
            sequences = pack(ids, needed_lengths(targets), *shared_starts(prompts, texts))
            logits = self._logits(sequences)[sequences.reads[is_form]]
        log_probs = torch.zeros(ids.shape, dtype=torch.float64)
        by_symbol = F.log_softmax(logits, dim=-1).gather(1, wanted[:, None])[:, 0]
        log_probs[is_form] = by_symbol.double()
        likeliest = torch.ones(ids.shape, dtype=torch.bool)
        likeliest[is_form] = logits.argmax(dim=-1) == wanted
        return log_probs, likeliest

    def _logits(self, packed: Packed, looked: torch.Tensor | None = None) -> torch.Tensor:
        """(n, V) for packed sequences of n symbols, or (L, V) for the L symbols `looked` at."""
        model = self.model
        x = model.tok_emb(packed.ids) + model.pos_emb(packed.positions)
        for block in model.blocks[:-1]:
            x = block_output(block, x, packed)
        x = model.ln_f(block_output(model.blocks[-1], x, packed, looked))
        return functions.product(x, model.tok_emb.weight)


def unknown(model: nn.Module, symbols: int) -> str | None:
    """Why the loops cannot compute a model, or sequences of so many symbols; None if they can."""
    weight = model.tok_emb.weight
    if not functions.pinned(weight):
        return f"{weight.dtype} on {weight.device}, or numerics left to the libraries"
    if symbols > model.config.context:
        return "longer than the model's context"
    for module in model.modules():
        if type(module) not in KNOWN:
            return f"{type(module).__name__}: a module of another class"
        if any(getattr(module, hooks) for hooks in HOOKS) or "forward" in vars(module):
            return f"{type(module).__name__}: has hooks, or a forward of its own"
        if isinstance(module, LoRALinear) and module.dropout and module.training:
            return "dropout while training"
        if isinstance(module, NF4Linear) and module.quant_state.dtype != torch.float32:
            return f"NF4 of {module.quant_state.dtype}"
        if isinstance(module, nn.LayerNorm) and (module.weight is None or module.bias is None):
            return "a norm without weight or bias"
    return None


def block_output(
    block: Block, x: torch.Tensor, packed: Packed, looked: torch.Tensor | None = None
) -> torch.Tensor:
    """What a block makes of packed symbols, (n, C) → (n, C), or (L, C) at those `looked` at."""
    biased = any(getattr(module, "bias", None) is not None for module in block.attn.modules())
    if biased or x.shape[1] > WIDEST:
        return by_functions(block, x, packed, looked)
    x = sublayers.residual(block.ln1, block.attn, x, packed, looked)
    return sublayers.residual(block.ln2, block.mlp, x)


def by_functions(
    block: Block, x: torch.Tensor, packed: Packed, looked: torch.Tensor | None = None
) -> torch.Tensor:
    """`block_output`, an operation at a time."""
    h, attn, mlp = block.ln1(x), block.attn, block.mlp
    q, k, v = (functions.linear(layer, h) for layer in (attn.q_proj, attn.k_proj, attn.v_proj))
    y = functions.attention(q, k, v, attn.n_head, packed)
    if looked is not None:
        x, y = x.index_select(0, looked), y.index_select(0, looked)
    x = x + functions.linear(attn.o_proj, y)
    hidden = functions.gelu(functions.linear(mlp.fc1, block.ln2(x)))
    return x + functions.linear(mlp.fc2, hidden)


def shared_starts(prompts: list[str], texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """For each text the one whose beginning it shares, and how many symbols of it; both (N,).

    A text that begins with the same prompt as the last one that stands alone shares its beginning,
    the boundary before both included.
    """
    parents, shared = [], []
    for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        whole = texts[parents[-1]] if parents else ""
        if prompt and whole.startswith(prompt):
            parents.append(parents[-1])
            # No more than either has as inputs: the last symbol of a text is only a target.
            shared.append(min(1 + len(commonprefix([whole, text])), len(text), len(whole)))
        else:
            parents.append(i)
            shared.append(0)
    return torch.tensor(parents), torch.tensor(shared)
