"""A plain GPT and LoRA by hand, as people write them who do not use this package."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    """Attention and MLP; query, key and value apart, so that LoRA can have some of them."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, C) → (B, T, C)."""
        B, T, C = x.shape
        h = self.ln_1(x)
        q, k, v = (
            project(h).view(B, T, self.heads, C // self.heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o_proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.fc2(F.gelu(self.fc1(self.ln_2(x))))


class PlainGPT(nn.Module):
    """A decoder-only transformer of MiniGPT's shape, with the head tied to the embedding."""

    def __init__(self, symbols: int, context: int, layers: int, heads: int, width: int):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(symbols, width), nn.Embedding(context, width)
        self.h = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.register_buffer("places", torch.arange(context), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                deep = (2 * layers) ** -0.5 if name.endswith(("o_proj.weight", "fc2.weight")) else 1
                nn.init.normal_(parameter, std=0.02 * deep)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V) for ids (B, T)."""
        x = self.wte(ids) + self.wpe(self.places[: ids.shape[1]])
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


class LowRank(nn.Module):
    """A frozen Linear and a low-rank update beside it (Hu et al. 2021, arXiv:2106.09685)."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.linear, self.scaling = linear, alpha / rank
        self.A = nn.Parameter(torch.randn(rank, linear.in_features) / rank)
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in) → (…, out)."""
        return self.linear(x) + (x @ self.A.T @ self.B.T) * self.scaling


def with_low_rank(model: PlainGPT, rank: int, alpha: float, targets: list[str]) -> PlainGPT:
    """LoRA by hand, in place."""
    model.requires_grad_(False)
    for block in model.h:
        for name in targets:
            setattr(block, name, LowRank(getattr(block, name), rank, alpha))
    return model
