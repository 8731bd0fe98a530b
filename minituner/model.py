"""MiniGPT: a decoder-only transformer small enough to read in one sitting and train on a laptop.

Pre-LayerNorm blocks (Radford et al. 2019, section 2.3), GELU, learned positions and an output head
tied to the token embedding (Press & Wolf 2017). The Linears have the names LoRA papers target:
`q_proj k_proj v_proj o_proj` (without bias) and `mlp.fc1 mlp.fc2` (with bias).

Shapes: B sequences, T positions, n symbols laid one behind the other (B·T, or fewer as `packing`
leaves padding out), C = d_model channels, V symbols of the vocabulary. Where only some symbols'
output is asked for, `looked` holds their L indices among the n, ascending; since no later layer
mixes positions, the last block's MLP and all behind it are computed there alone.
"""

import dataclasses

import torch
import torch.nn as nn

from minituner.compute import fused, numerics
from minituner.compute.sequences import Packed, pack
from minituner.foundation.errors import UserError

INIT_STD = 0.02  # GPT-2's


class Linear(nn.Linear):
    """nn.Linear computed by `numerics.linear`, (…, in) → (…, out)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """X Wᵀ + b."""
        return numerics.linear(x, self.weight, self.bias)

    def layer(self) -> fused.Layer:
        """Its numbers, for the compiled sublayers."""
        return fused.Layer(self.weight, self.bias)


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
    """(n, C) → (L, C), the symbols `looked`; all of x, as it is, without them."""
    return x if looked is None else x.index_select(0, looked)


class Attention(nn.Module):
    """Causal multi-head self-attention, (n, C) → (n, C), or (L, C) at `looked`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_head = config.n_head
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, Linear(config.d_model, config.d_model, bias=False))

    def forward(
        self, x: torch.Tensor, packed: Packed, looked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Attend from each symbol to itself and those before it in its sequence."""
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        return self.o_proj(_at(looked, numerics.attention(q, k, v, self.n_head, packed)))


class MLP(nn.Module):
    """Two Linears around a GELU, (n, C) → (n, C) through (n, d_ff)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.fc1 = Linear(config.d_model, config.d_ff)
        self.fc2 = Linear(config.d_ff, config.d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the same two layers at each position."""
        return self.fc2(numerics.gelu(self.fc1(x)))


class Block(nn.Module):
    """One transformer layer: attention, then MLP, each on a normalised copy of the residual."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.ln1 = nn.LayerNorm(config.d_model)
        self.attn = Attention(config)
        self.ln2 = nn.LayerNorm(config.d_model)
        self.mlp = MLP(config)

    def forward(
        self, x: torch.Tensor, packed: Packed, looked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(n, C) → (n, C), or (L, C) at the symbols `looked`."""
        after = fused.compute(self.ln1, self.attn, x, packed, looked)
        if after is None:
            after = _at(looked, x) + self.attn(self.ln1(x), packed, looked)
        y = fused.compute(self.ln2, self.mlp, after)
        return after + self.mlp(self.ln2(after)) if y is None else y


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

    def hidden(
        self, ids: torch.Tensor | Packed, looked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Final hidden states for symbol ids (B, T), int64, T ≤ context, or for packed sequences.

        Returns:
            (B, T, C); (n, C) for packed ids; (L, C) at `looked`.
        """
        packed = pack(ids, multiple=1) if isinstance(ids, torch.Tensor) else ids
        T = packed.reads.shape[1]
        if T > self.config.context:
            raise UserError(
                f"model.context: {T} symbols do not fit {self.config.context}; use a larger one"
            )
        x = self.tok_emb(packed.ids) + self.pos_emb(packed.positions)
        for block in self.blocks[:-1]:
            x = block(x, packed)
        x = self.ln_f(self.blocks[-1](x, packed, looked))
        return x.view(*ids.shape, -1) if looked is None and isinstance(ids, torch.Tensor) else x

    def forward(
        self, ids: torch.Tensor | Packed, looked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits of the next symbol, shaped as the hidden states with V in place of C."""
        return self.logits(self.hidden(ids, looked))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """The tied head, (…, C) → (…, V)."""
        return numerics.linear(hidden, self.tok_emb.weight)
