"""MiniGPT: a decoder-only transformer small enough to read in one sitting and train on a laptop.

Pre-LayerNorm blocks (Radford et al. 2019, section 2.3), GELU, learned positions and an output head
tied to the token embedding (Press & Wolf 2017). The Linears have the names LoRA papers target:
`q_proj k_proj v_proj o_proj` (without bias) and `mlp.fc1 mlp.fc2` (with bias).

Shapes: B sequences, T positions, C = d_model channels, V symbols of the vocabulary.
"""

import dataclasses
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner.foundation.errors import UserError

INIT_STD = 0.02  # GPT-2's
IGNORE = -100  # targets of this value are no part of a loss; it is PyTorch's own default


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


@torch.no_grad()
def _normal_(parameter: torch.Tensor, std: float, generator: Any) -> None:
    """Fill a parameter with normal numbers of mean 0."""
    if generator is None or isinstance(generator, torch.Generator):
        nn.init.normal_(parameter, std=std, generator=generator)
    else:
        parameter.copy_(torch.from_numpy(generator.normal(0.0, std, tuple(parameter.shape))))


class Attention(nn.Module):
    """Causal multi-head self-attention, (B, T, C) → (B, T, C)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_head = config.n_head
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(config.d_model, config.d_model, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend from each position to itself and those before it."""
        q, k, v = (self._heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, C) → (B, n_head, T, C / n_head)."""
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)


class MLP(nn.Module):
    """Two Linears around a GELU, (B, T, C) → (B, T, C) through (B, T, d_ff)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.d_model, config.d_ff)
        self.fc2 = nn.Linear(config.d_ff, config.d_model)

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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, C) → (B, T, C)."""
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class MiniGPT(nn.Module):
    """A character-level GPT.

    Args:
        config: shape and vocabulary.
        generator: where the initial weights are drawn from: torch's or numpy's, whose numbers are
            the same on every machine; None leaves torch's global generator.
    """

    def __init__(self, config: ModelConfig, generator: Any = None):
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocab_size, config.d_model)
        self.pos_emb = nn.Embedding(config.context, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.d_model)
        self._init_weights(generator)

    def _init_weights(self, generator: Any) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # Layers that write to the residual are scaled by 1/√(2·n_layer), as in GPT-2, so
                # that its variance does not grow with depth.
                writes_residual = name.endswith(("o_proj.weight", "fc2.weight"))
                scale = (2 * self.config.n_layer) ** -0.5 if writes_residual else 1.0
                _normal_(parameter, INIT_STD * scale, generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits of the next symbol, (B, T, V), for symbol ids (B, T), int64.

        Raises:
            UserError: if T is more than the model's context.
        """
        T = ids.shape[1]
        if T > self.config.context:
            raise UserError(
                f"model.context: {T} symbols do not fit {self.config.context}; use a larger one"
            )
        x = self.tok_emb(ids) + self.pos_emb(torch.arange(T, device=ids.device))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.ln_f(x), self.tok_emb.weight)  # the tied head

    def loss(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy in nats a symbol, a scalar; both are (B, T), int64.

        Targets that are `IGNORE` do not count.
        """
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
