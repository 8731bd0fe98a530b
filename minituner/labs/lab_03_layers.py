"""Lab 03's steps about layers: a Linear in 4 bits, and a model of them."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn as nn

from minituner import nf4
from minituner.labs.checking import Work, Wrong, same, tell
from minituner.labs.lab_03_codes import BLOCK, drawn, looked_up
from minituner.model import MiniGPT, ModelConfig

CONFIG = ModelConfig(vocab="abcdefgh", n_layer=2, n_head=2, d_model=64, d_ff=128, context=12)


def tensors_in(thing: Any) -> Iterator[torch.Tensor]:
    """Every tensor that a module holds, in whatever attribute."""
    if isinstance(thing, torch.Tensor):
        yield thing
    elif isinstance(thing, nn.Module | dict | list | tuple):
        parts = vars(thing) if isinstance(thing, nn.Module) else thing
        for part in parts.values() if isinstance(parts, dict) else parts:
            yield from tensors_in(part)


def linear(work: Work) -> None:
    """What NF4Linear gives, what it holds, and that gradients pass."""
    for bias in (False, True):
        plain = nn.Linear(32, 8, bias=bias)
        plain.weight.data, x = drawn(8, 32), drawn(2, 3, 32)
        layer = work.NF4Linear(copy.deepcopy(plain))
        weight = nf4.dequantize(*nf4.quantize(plain.weight))
        right = x @ weight.T + (plain.bias.detach() if bias else 0)
        wrong = {
            "bias left out": x @ weight.T,
            "weight not quantized": plain(x).detach(),
            "weight transposed": (x @ weight.view(32, 8) + (plain.bias if bias else 0)).detach(),
        }
        x.requires_grad_(True)
        y = looked_up(layer, x)
        tell(y, right, wrong, "the output of NF4Linear")
        holds_codes(layer, plain)
        if not y.requires_grad:
            raise Wrong("no gradient passes")
        y.sum().backward()
        if x.grad is None:
            raise Wrong("no gradient passes")
        tell(x.grad, weight.sum(dim=0).expand(2, 3, 32), {}, "the gradient with respect to x")


def holds_codes(layer: nn.Module, plain: nn.Linear) -> None:
    """Refuse an NF4Linear that holds more than packed codes, absmax and the bias, as buffers.

    Raises:
        Wrong: naming what it holds.
    """
    held = {tensor.data_ptr(): tensor.nbytes for tensor in tensors_in(layer)}
    most = plain.weight.numel() // 2 + 4 * (plain.weight.numel() // BLOCK)
    most += 0 if plain.bias is None else plain.bias.nbytes
    if sum(held.values()) >= plain.weight.nbytes:
        raise Wrong("float copy kept")
    if next(layer.parameters(), None) is not None:
        raise Wrong("not a buffer", "(one is a Parameter)")
    if any(tensor.requires_grad for tensor in tensors_in(layer)):
        raise Wrong(
            "float copy kept",
            "(a buffer asks for a gradient: make all of them of linear.weight.detach() and "
            "linear.bias.detach())",
        )
    if sum(held.values()) > most:
        raise Wrong("", f"the layer holds {sum(held.values())} bytes; it needs {most}")
    if not held.keys() <= {buffer.data_ptr() for buffer in layer.buffers()}:
        raise Wrong("not a buffer", "(one is a plain attribute)")


def whole_model(work: Work) -> None:
    """Every Linear of the blocks in NF4, the rest as it was, and the bytes."""
    model = MiniGPT(CONFIG, torch.Generator().manual_seed(0))
    before = copy.deepcopy(model)
    quantized = work.quantize_model(model)
    if not isinstance(quantized, nn.Module):
        raise Wrong("", "quantize_model must return the model")
    left = [name for name, part in quantized.named_modules() if isinstance(part, nn.Linear)]
    if left:
        raise Wrong("Linear left in floats", f"(as {left[0]} is)")
    if any(parameter.requires_grad for parameter in quantized.parameters()):
        raise Wrong("base not frozen")
    embedding = quantized.tok_emb.weight
    tell(embedding, before.tok_emb.weight.detach(), {}, "the embedding")
    ids = torch.arange(CONFIG.context)[None] % len(CONFIG.vocab)
    for block in before.blocks:
        for owner in (block.attn, block.mlp):
            for name, part in list(owner.named_children()):
                if isinstance(part, nn.Linear):
                    setattr(owner, name, work.NF4Linear(part))
    with torch.no_grad():
        if not same(quantized(ids), before(ids), 1e-4):
            raise Wrong("another layer's Linear")
    parts = [*quantized.parameters(), *quantized.buffers()]
    right = sum(tensor.nbytes for tensor in parts)
    wrong = {
        "buffers forgotten": sum(parameter.nbytes for parameter in quantized.parameters()),
        "numbers and not bytes": sum(tensor.numel() for tensor in parts),
    }
    tell(work.held_bytes(quantized), right, wrong, "held_bytes")
