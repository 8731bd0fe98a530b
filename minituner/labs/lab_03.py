"""Lab 03, QLoRA: its steps."""

import copy
import functools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn as nn

from minituner import data, nf4, train
from minituner.foundation import seeds
from minituner.labs.checking import Step, Work, Wrong, tell
from minituner.labs.trial import bars, loaded, measured, meets_bars, outcome
from minituner.lora import lora_layers, lora_state_dict, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig

BLOCK, RANK, ALPHA = 64, 4, 8.0
CODE = nf4.code_values()


def drawn(*shape: int) -> torch.Tensor:
    """Normal numbers whose largest magnitude is a negative one."""
    draw = torch.Generator().manual_seed(seeds.derive_seed(0, "lab 03", *shape))
    numbers = torch.randn(shape, generator=draw)
    return -numbers if numbers.max() == numbers.abs().max() else numbers


def codes_of(scaled: torch.Tensor) -> torch.Tensor:
    """Index of the nearest value for each number, in its shape."""
    return (scaled[..., None] - CODE).abs().argmin(dim=-1)


def pair(answer: Any, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    """An answer of two tensors.

    Raises:
        Wrong: if it is none.
    """
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong("", f"{what} must return two tensors, codes and absmax")
    return answer[0], torch.as_tensor(answer[1])


def one_block(work: Work) -> None:
    """A block's codes, and the weights again."""
    block = drawn(BLOCK)
    codes, absmax = pair(work.quantize_block(block.clone()), "quantize_block")
    top = block.abs().max()
    tell(absmax, top, {"maximum without magnitude": block.max()}, "absmax")
    right = codes_of(block / top)
    below = torch.bucketize(block / top, CODE, right=True) - 1
    evenly = (block / top * 7).round() + 7
    wrong = {
        "weights not divided": codes_of(block),
        "code below and not nearest": below.clamp(0, 15),
        "codes off by one": right + 1,
        "evenly spaced values": evenly,
    }
    tell(codes, right, wrong, "the codes")
    again = {"absmax forgotten": CODE[right]}
    weights = work.dequantize_block(right.to(torch.uint8), top)
    tell(weights, CODE[right] * top, again, "the block again")


def matrix(work: Work) -> None:
    """Codes and scales of matrices whose rows are longer and shorter than a block."""
    for out, into in ((6, 128), (8, 32)):
        weight = drawn(out, into)
        blocks = weight.view(-1, BLOCK)
        top = blocks.abs().amax(dim=1)
        codes, absmax = pair(work.quantize(weight.clone()), "quantize")
        if absmax.numel() == 1:
            raise Wrong("one absmax for all")
        if absmax.numel() == out:
            raise Wrong("absmax per row")
        by_row = weight.abs().amax(dim=1).repeat_interleave(into).view(-1, BLOCK)[:, 0]
        columns = weight.T.reshape(-1, BLOCK).abs().amax(dim=1)
        wrong = {"absmax per row": by_row, "blocks down the columns": columns}
        tell(absmax.flatten(), top, wrong, "absmax")
        right = codes_of(blocks / top[:, None]).flatten()
        wrong = {"codes off by one": right + 1}
        tell(codes.flatten(), right, wrong, "the codes of a matrix")
        again = work.dequantize(right.to(torch.uint8), top, (out, into))
        values = CODE[right].view(out, into)
        wrong = {"absmax forgotten": values}
        tell(
            again, values * top.repeat_interleave(BLOCK).view(out, into), wrong, "the matrix again"
        )


def bytes_of_pairs(work: Work) -> None:
    """Packed codes, and the codes again."""
    codes = torch.arange(64).mul(7).remainder(16).to(torch.uint8)
    first, second = codes[0::2], codes[1::2]
    packed = work.pack(codes.clone())
    if getattr(packed, "numel", int)() == codes.numel():
        raise Wrong("a byte a code")
    wrong = {"low half first": second << 4 | first, "codes not shifted": first | second}
    right = first << 4 | second
    tell(packed, right, wrong, "the bytes")
    if packed.dtype != torch.uint8:
        raise Wrong("", f"the bytes are {packed.dtype}, not uint8")
    swapped = torch.stack([second, first], dim=1).flatten()
    tell(work.unpack(right), codes, {"low half first": swapped}, "the codes again")


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
        plain.weight.data, x = drawn(8, 32), drawn(3, 32)
        layer = work.NF4Linear(copy.deepcopy(plain))
        weight = nf4.dequantize(*nf4.quantize(plain.weight))
        right = x @ weight.T + (plain.bias.detach() if bias else 0)
        wrong = {
            "bias left out": x @ weight.T,
            "weight not quantized": plain(x).detach(),
            "weight transposed": (x @ weight.view(32, 8) + (plain.bias if bias else 0)).detach(),
        }
        x.requires_grad_(True)
        y = layer(x)
        tell(y, right, wrong, "the output of NF4Linear")
        if any(parameter.requires_grad for parameter in layer.parameters()):
            raise Wrong("base not frozen")
        if not y.requires_grad:
            raise Wrong("no gradient passes")
        y.sum().backward()
        tell(x.grad, weight.sum(dim=0).expand(3, 32), {}, "the gradient with respect to x")
        held = {tensor.data_ptr(): tensor.nbytes for tensor in tensors_in(layer)}
        most = 8 * 32 // 2 + 4 * (8 * 32 // BLOCK) + 4 * 8 * bias
        if sum(held.values()) > most:
            if sum(held.values()) >= plain.weight.nbytes:
                raise Wrong("float copy kept")
            raise Wrong("", f"the layer holds {sum(held.values())} bytes; it needs {most}")


CONFIG = ModelConfig(vocab="abcdefgh", n_layer=2, n_head=2, d_model=64, d_ff=128, context=12)


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
    parts = [*quantized.parameters(), *quantized.buffers()]
    right = sum(tensor.nbytes for tensor in parts)
    wrong = {
        "buffers forgotten": sum(parameter.nbytes for parameter in quantized.parameters()),
        "numbers and not bytes": sum(tensor.numel() for tensor in parts),
    }
    tell(work.held_bytes(quantized), right, wrong, "held_bytes")


@functools.cache
def trained_lora() -> MiniGPT:
    """The base with an adapter trained on it, in floats."""
    model = wrap_minigpt_with_lora(copy.deepcopy(loaded().base), RANK, ALPHA)
    examples = data.completions(loaded().train)
    settings = {"steps": 100, "batch_size": 32, "learning_rate": 0.001, "warmup": 20}
    settings["eval_every"] = 100
    train.tune(model, settings, {"train": examples, "val": examples[:32]}, seed=0)
    return model.eval()


def agreement(work: Work) -> None:
    """The same adapter on both bases: apart by no more than the bar allows."""
    base, lora = loaded().base, trained_lora()
    texts = [row["text"] for row in loaded().irregular]
    ids, _ = data.batch(texts, base.config.vocab)
    qlora = work.on_nf4(base, lora, RANK, ALPHA)
    numbers = lora_state_dict(qlora)
    if not numbers or not any(b.any() for n, b in numbers.items() if "lora_B" in n):
        raise Wrong("adapter left out")
    with torch.no_grad():
        nf4_base = work.quantize_model(copy.deepcopy(base))
        apart = (base(ids) - nf4_base(ids)).double()
        on_top = (lora(ids) - qlora(ids)).double()
    wrong = {"mean without magnitude": float(apart.mean())}
    said = "difference(base, NF4 base, ids)"
    tell(work.difference(base, nf4_base, ids), float(apart.abs().mean()), wrong, said, 1e-3)
    times = float(on_top.abs().mean() / apart.abs().mean())
    print(f"with the adapter the bases differ by {times:.2f} times what quantizing alone changes")
    if times > bars()["agreement"]:
        raise Wrong("", f"the adapter's outputs differ by {times:.2f} times the quantization's")


def training(work: Work) -> None:
    """QLoRA trains A and B alone, and meets the course's bars."""
    model = work.qlora(loaded().base, RANK, ALPHA)
    if not isinstance(model, nn.Module) or not lora_layers(model):
        raise Wrong("adapter left out")
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    if any(not name.endswith(("lora_A", "lora_B")) for name in trained):
        raise Wrong("base not frozen")
    if any(isinstance(layer.base, nn.Linear) for layer in lora_layers(model).values()):
        raise Wrong("Linear left in floats", "(below the adapter)")
    # What quantizing cost before any training is not the adapter's to answer for.
    before = measured(work.quantize_model(copy.deepcopy(loaded().base)).eval())
    tuned = work.tune(model, loaded().train).eval()
    meets_bars(outcome(tuned, before), f"QLoRA at rank {RANK}, against the base in NF4")


STEPS = (
    Step("One block", "03-memory-footprint.md: NF4", one_block),
    Step("A matrix", "03-memory-footprint.md: NF4", matrix),
    Step("Two codes a byte", "03-memory-footprint.md: NF4", bytes_of_pairs),
    Step("A Linear in 4 bits", "03-memory-footprint.md: NF4", linear),
    Step("The model in 4 bits", "03-memory-footprint.md: NF4", whole_model),
    Step("The same adapter on both bases", "03-memory-footprint.md: What was measured", agreement),
    Step("Training on 4 bits", "03-memory-footprint.md: What was measured", training),
)
