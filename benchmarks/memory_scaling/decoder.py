"""A transformer of any shape with random weights, float or NF4, for measuring what a step takes.

The weights are drawn and quantized one Linear at a time, so that no float copy of a quantized model
ever exists. Rotary embeddings are left out: they hold no weights.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner import compute, nf4
from minituner.budget.formula import Regime
from minituner.budget.shapes import Shape
from minituner.foundation import progress
from minituner.lora import LoRALinear
from minituner.model import MiniGPT

INIT_STD = 0.02


class Attention(nn.Module):
    """Causal attention with grouped keys and values, (B, T, C) → (B, T, C)."""

    def __init__(self, shape: Shape, linears: dict[str, nn.Module]):
        super().__init__()
        self.width, self.groups = shape.head_width, shape.n_head // shape.kv_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, linears[name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend from each position to itself and those before it."""
        B, T, _ = x.shape

        def heads(y: torch.Tensor, repeat: int) -> torch.Tensor:
            y = y.view(B, T, -1, self.width).transpose(1, 2)
            return y.repeat_interleave(repeat, dim=1) if repeat > 1 else y

        q, k, v = (compute.linear(layer, x) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k, v = heads(q, 1), heads(k, self.groups), heads(v, self.groups)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return compute.linear(self.o_proj, y.transpose(1, 2).reshape(B, T, -1))


class MLP(nn.Module):
    """SwiGLU, or two Linears around a GELU, (B, T, C) → (B, T, C)."""

    def __init__(self, shape: Shape, linears: dict[str, nn.Module]):
        super().__init__()
        self.gated = shape.gated_mlp
        for name in ("gate_proj", "up_proj", "down_proj") if self.gated else ("fc1", "fc2"):
            setattr(self, name, linears[name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the same layers at each position."""
        if self.gated:
            gate, up = compute.linear(self.gate_proj, x), compute.linear(self.up_proj, x)
            return compute.linear(self.down_proj, F.silu(gate) * up)
        return compute.linear(self.fc2, F.gelu(compute.linear(self.fc1, x)))


class Block(nn.Module):
    """One transformer layer, pre-norm."""

    def __init__(self, shape: Shape, linears: dict[str, nn.Module]):
        super().__init__()
        norm = nn.LayerNorm if shape.norm == "layer" else nn.RMSNorm
        self.norm1, self.norm2 = norm(shape.d_model), norm(shape.d_model)
        self.attn, self.mlp = Attention(shape, linears), MLP(shape, linears)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, C) → (B, T, C)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Decoder(nn.Module):
    """A transformer of a given shape with random weights, ready to tune by a regime.

    Args:
        shape: its sizes.
        regime: what is trained, and whether the blocks' Linears are kept in NF4.
        seed: of the weights.
    """

    def __init__(self, shape: Shape, regime: Regime, seed: int = 0):
        super().__init__()
        self.draw = compute.generator(seed, "scaling")
        self.tok_emb = self._embedding(shape.vocab_size, shape.d_model)
        self.pos_emb = self._embedding(shape.positions, shape.d_model) if shape.positions else None
        self.head = None if shape.tied else self._embedding(shape.vocab_size, shape.d_model)
        self.blocks = nn.ModuleList(
            Block(shape, {name: self._linear(shape, regime, name) for name in shape.linears()})
            for _ in progress.bar(range(shape.n_layer), "building", "blocks")
        )
        self.norm = (nn.LayerNorm if shape.norm == "layer" else nn.RMSNorm)(shape.d_model)
        if regime.method != "full":
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name.endswith(("lora_A", "lora_B")))

    def _normal(self, *size: int) -> torch.Tensor:
        return torch.empty(size).normal_(std=INIT_STD, generator=self.draw)

    def _embedding(self, rows: int, width: int) -> nn.Embedding:
        return nn.Embedding(rows, width, _weight=self._normal(rows, width))

    def _linear(self, shape: Shape, regime: Regime, name: str) -> nn.Module:
        """One Linear of a block; its float weight is gone again when NF4 has been made of it."""
        out, into = shape.linears()[name]
        bias = torch.zeros(shape.biases()[name]) if name in shape.biases() else None
        weight = self._normal(out, into)
        if regime.method == "qlora":
            packed = compute.quantize(weight, regime.blocksize, regime.double_quant)
            linear: nn.Module = nf4.NF4Linear(*packed, bias)
        else:
            linear = nn.Linear(into, out, bias=bias is not None, device="meta")
            linear.weight = nn.Parameter(weight)
            linear.bias = None if bias is None else nn.Parameter(bias)
        if name in regime.targets:
            return LoRALinear(linear, regime.rank, 2.0 * regime.rank, generator=self.draw)
        return linear

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V) for ids (B, T)."""
        x = self.tok_emb(ids)
        if self.pos_emb is not None:
            x = x + self.pos_emb(torch.arange(ids.shape[1]).repeat(len(ids), 1))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), (self.head or self.tok_emb).weight)

    loss = MiniGPT.loss  # of these logits
