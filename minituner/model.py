"""MiniGPT: a decoder-only transformer small enough to read in one sitting and train on a laptop.

Pre-LayerNorm blocks (Radford et al. 2019, section 2.3), GELU, learned positions and an output head
tied to the token embedding (Press & Wolf 2017). The Linears have the names LoRA papers target:
`q_proj k_proj v_proj o_proj` (without bias) and `mlp.fc1 mlp.fc2` (with bias).

Shapes: B sequences, T positions, C = d_model channels, V symbols. Where only some positions' output
is asked for, `looked` holds their L indices among the B·T, ascending; since no later layer mixes
positions, the last block's MLP and all behind it are computed there alone.
"""

import dataclasses

import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner import numerics
from minituner.errors import UserError

INIT_STD = 0.02  # GPT-2's


class Linear(nn.Linear):
    """nn.Linear computed by `numerics.linear`, (…, in) → (…, out)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """X Wᵀ + b."""
        return numerics.linear(x, self.weight, self.bias)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The shape of a MiniGPT and the characters it knows; `vocab[i]` is the symbol with id i."""

    vocab: str
    n_layer: int = 4
    n_head: int = 4
    d_model: int = 64
    d_ff: int = 256
    context: int = 64

    @property
    def vocab_size(self) -> int:
        """V, the number of symbols."""
        return len(self.vocab)

    @property
    def parameters(self) -> int:
        """How many numbers a model of this shape holds, known before any memory is taken."""
        d, f = self.d_model, self.d_ff
        block = 4 * d * d + (2 * d * f + f + d) + 2 * 2 * d
        return (self.vocab_size + self.context) * d + self.n_layer * block + 2 * d


def _at(looked: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    """(B, T, C) → (L, C), the positions `looked`; all of x, as it is, without them."""
    return x if looked is None else x.flatten(0, 1).index_select(0, looked)


class Attention(nn.Module):
    """Causal multi-head self-attention, (B, T, C) → (B, T, C), or (L, C) at `looked`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_head = config.n_head
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, Linear(config.d_model, config.d_model, bias=False))

    def forward(self, x: torch.Tensor, looked: torch.Tensor | None = None) -> torch.Tensor:
        """Attend from each position to itself and those before it."""
        B, T, C = x.shape

        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)

        q, k, v = heads(self.q_proj(x)), heads(self.k_proj(x)), heads(self.v_proj(x))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(_at(looked, y.transpose(1, 2).reshape(B, T, C)))


class MLP(nn.Module):
    """Two Linears around a GELU, (B, T, C) → (B, T, C) through (B, T, d_ff)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.fc1 = Linear(config.d_model, config.d_ff)
        self.fc2 = Linear(config.d_ff, config.d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the same two layers at each position."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """One transformer layer: attention, then MLP, each on a normalised copy of the residual."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.ln1 = nn.LayerNorm(config.d_model)
        self.attn = Attention(config)
        self.ln2 = nn.LayerNorm(config.d_model)
        self.mlp = MLP(config)

    def forward(self, x: torch.Tensor, looked: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, C) → (B, T, C), or (L, C) at the positions `looked`."""
        x = _at(looked, x) + self.attn(self.ln1(x), looked)
        return x + self.mlp(self.ln2(x))


class MiniGPT(nn.Module):
    """A character-level GPT.

    Args:
        config: shape and vocabulary.
        generator: where the initial weights are drawn from; None leaves torch's global generator.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocab_size, config.d_model)
        self.pos_emb = nn.Embedding(config.context, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.d_model)
        self._init_weights(generator)

    def _init_weights(self, generator: torch.Generator | None) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # Layers that write to the residual are scaled by 1/√(2·n_layer), as in GPT-2, so
                # that its variance does not grow with depth.
                writes_residual = name.endswith(("o_proj.weight", "fc2.weight"))
                scale = (2 * self.config.n_layer) ** -0.5 if writes_residual else 1.0
                nn.init.normal_(parameter, std=INIT_STD * scale, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def hidden(self, ids: torch.Tensor, looked: torch.Tensor | None = None) -> torch.Tensor:
        """Final hidden states (B, T, C), or (L, C), for symbol ids (B, T), int64, T ≤ context."""
        T = ids.shape[1]
        if T > self.config.context:
            raise UserError(
                f"model.context: {T} symbols do not fit {self.config.context}; use a larger one"
            )
        x = self.tok_emb(ids) + self.pos_emb.weight[:T]
        for block in self.blocks[:-1]:
            x = block(x)
        return self.ln_f(self.blocks[-1](x, looked))

    def forward(self, ids: torch.Tensor, looked: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (B, T, V), or (L, V), of the next symbol for ids (B, T)."""
        return self.logits(self.hidden(ids, looked))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """The tied head, (…, C) → (…, V)."""
        return numerics.linear(hidden, self.tok_emb.weight)
