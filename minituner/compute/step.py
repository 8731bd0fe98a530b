"""A model's logits, or its loss, as one node of autograd over a compiled call for each block.

What the node keeps for its backward pass it gives to PyTorch to keep, the weights included: so a
weight that is changed in place before the backward pass raises an error, as with PyTorch's nodes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from minituner.compute import quantization
from minituner.compute.kernels import blocks, ends, linears, nf4
from minituner.compute.kernels import norm as norms
from minituner.compute.kernels.attention import Sequences
from minituner.compute.kernels.blocks import Activations
from minituner.compute.kernels.jit import ONE
from minituner.compute.kernels.tiles import WIDE, add_over_rows, product
from minituner.compute.known import LayerPlaces, NormPlaces, Numbers
from minituner.compute.sequences import Packed
from minituner.model import IGNORE
from minituner.nf4 import QuantState, code_values

NOTHING, NOWHERE = np.empty(0, np.float32), np.empty(0, np.int64)
NO_ROWS = np.empty((0, 0), np.float32)
FLOATS = nf4.NF4(np.empty(0, np.uint8), 0, NOTHING, NOTHING)  # of a weight not in NF4
OF_ROWS = {"mean1", "rstd1", "mean2", "rstd2"}  # the activations that are no matrices
Arrays = list[np.ndarray]


class Batch(NamedTuple):
    """Packed sequences of n symbols, and what is asked of them."""

    packed: Packed
    looked: torch.Tensor | None = None  # (L,), int64: where logits are asked for; None for all n
    targets: torch.Tensor | None = None  # (L,), int64; None asks for logits instead of the loss
    key: int = 0  # decides what dropout drops


class Ends(NamedTuple):
    """What the backward pass needs of the parts before and behind the blocks, each if it does."""

    ids: torch.Tensor | None  # (n,), int64
    places: torch.Tensor | None  # (n,), int64
    looked: torch.Tensor | None  # (L,), int64
    targets: torch.Tensor | None  # (L,), int64
    softmax: torch.Tensor | None  # (L, V)
    share: torch.Tensor | None  # (1,), of a target in the loss
    x: torch.Tensor | None  # (L, C), what the last norm gets; mean and rstd are (L,)
    mean: torch.Tensor | None
    rstd: torch.Tensor | None
    h: torch.Tensor | None  # (L, C), what the head gets


def run(numbers: Numbers, batch: Batch) -> torch.Tensor:
    """Logits, (n, V) or (L, V), or with targets the loss, a scalar."""
    return _Step.apply(numbers, batch, *numbers.tensors)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, numbers, batch, *tensors):
        trained, arrays, packed = ctx.needs_input_grad[2:], as_arrays(tensors), batch.packed
        ids, places = as_arrays([packed.ids, packed.positions])
        x = ends.embed(arrays[numbers.tokens], arrays[numbers.positions], ids, places)
        embedded = flowing = trained[numbers.tokens] or trained[numbers.positions]
        sequences = sequences_of(packed)
        kept, narrowed, learning = [], False, 0
        for index, parts in enumerate(numbers.blocks):
            last = index == len(numbers.blocks) - 1
            looked = batch.looked.numpy() if last and batch.looked is not None else NOWHERE
            block = numba_block(parts, arrays, batch.key, index)
            x, made = blocks.forward(x, block, numbers.heads, sequences, looked)
            names, flowing = _needed(parts, trained, flowing)
            kept += only(made, names)
            narrowed = looked.size > 0 and "y" in names
            learning += flowing
        h, mean, rstd = norms.norm(x, *numba_norm(numbers.ln_f, arrays))
        logits = np.empty((len(h), len(arrays[numbers.tokens])), np.float32)
        product(h, arrays[numbers.tokens].T, NOTHING, logits)
        softmax = share = None
        out = logits
        if batch.targets is not None:
            loss, softmax, share = ends.cross_entropy(logits, batch.targets.numpy(), IGNORE)
            out, share = np.array(loss, np.float32), np.array([share], np.float32)
        names = {"ids", "places"} if embedded else set()
        names |= {"looked"} if narrowed else set()
        names |= {"targets", "softmax", "share"} if any(trained) else set()
        if flowing or any(trained[place] for place in _places(numbers.ln_f)):
            names |= {"x", "mean", "rstd"}
        names |= {"h"} if trained[numbers.tokens] else set()
        targets = batch.targets
        made = Ends(ids, places, looked, targets, softmax, share, x, mean, rstd, h)
        kept = only(made, names) + kept
        ctx.numbers, ctx.batch, ctx.n_tensors = numbers, batch, len(tensors)
        ctx.lowest = len(numbers.blocks) - learning  # no gradient is asked for below that block
        ctx.save_for_backward(*tensors, *map(as_tensor, kept))
        return torch.from_numpy(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        numbers, batch, trained = ctx.numbers, ctx.batch, ctx.needs_input_grad[2:]
        saved = ctx.saved_tensors  # asked for once, as checkpointing wants it
        arrays = as_arrays(saved[: ctx.n_tensors])
        kept = [t if t is None else t.numpy() for t in saved[ctx.n_tensors :]]
        made, kept = Ends(*kept[: len(Ends._fields)]), kept[len(Ends._fields) :]
        sums = zero_gradients(arrays, trained)
        tokens, by_x = numbers.tokens, None
        looked = NOWHERE if made.looked is None else made.looked  # of the last block
        sequences = sequences_of(batch.packed)
        by_logits = grad.contiguous().numpy()
        if made.targets is not None:
            share = made.share[0] * np.float32(by_logits)
            by_logits = ends.cross_entropy_backward(made.softmax, made.targets, IGNORE, share)
        if made.h is not None:
            add_over_rows(by_logits, made.h, ONE, sums[tokens])
        if made.x is not None:
            by_h, by_x = np.empty_like(made.x), np.zeros_like(made.x)
            product(by_logits, arrays[tokens], NOTHING, by_h)
            weight, for_norm = arrays[numbers.ln_f.weight], gradients_of(numbers.ln_f, sums)
            norms.norm_backward(by_h, made.x, made.mean, made.rstd, weight, *for_norm[:2], by_x)
        for index in reversed(range(ctx.lowest, len(numbers.blocks))):
            n = len(Activations._fields)
            own = dict(zip(Activations._fields, kept[index * n : (index + 1) * n], strict=True))
            parts = numbers.blocks[index]
            by_x = blocks.backward(
                by_x,
                Activations(**{name: _or_nothing(name, value) for name, value in own.items()}),
                numba_block(parts, arrays, batch.key, index),
                blocks.Block(*(gradients_of(part, sums) for part in parts)),
                numbers.heads,
                sequences,
                looked,
            )
            looked = NOWHERE
        if made.ids is not None:
            for indices, place in ((made.ids, tokens), (made.places, numbers.positions)):
                if trained[place]:
                    ends.add_rows(by_x, indices, sums[place])
        return None, None, *map(as_tensor, sums)


def only(made: NamedTuple, names: set[str]) -> list:
    """The fields of those names, and None in the place of each other one."""
    return [value if name in names else None for name, value in made._asdict().items()]


def as_arrays(tensors: Sequence[torch.Tensor]) -> Arrays:
    """The same memory for numba."""
    return [tensor.detach().numpy() for tensor in tensors]


def as_tensor(value: np.ndarray | torch.Tensor | None) -> torch.Tensor | None:
    """The same memory for PyTorch."""
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _or_nothing(name: str, value: np.ndarray | None) -> np.ndarray:
    """An activation as the backward call takes it."""
    return value if value is not None else NOTHING if name in OF_ROWS else NO_ROWS


def sequences_of(packed: Packed) -> Sequences:
    """Where the symbols lie, as the loops take it."""
    return Sequences(*as_arrays([packed.reads, packed.lengths, packed.first]))


def _needed(
    parts: tuple[NormPlaces | LayerPlaces, ...], trained: Sequence[bool], flowing: bool
) -> tuple[set[str], bool]:
    """The activations that a block's gradients need, and whether its output needs one.

    Each part needs what its own gradient is made of, or what a gradient before it passes through.
    """
    ln1, q, k, v, o, ln2, fc1, fc2 = parts
    learns = [any(trained[place] for place in _places(part)) for part in parts]
    learns_1, *learns_qkv, learns_o, learns_2, learns_fc1, learns_fc2 = learns
    names = {
        f"inner_{name}"
        for name, part, learning in zip("_qkvo_12", parts, learns, strict=True)
        if learning and isinstance(part, LayerPlaces) and part.A is not None
    }
    if flowing or learns_1:
        names |= {"x", "mean1", "rstd1"}
    if any(keeps_input(part, trained) for part in (q, k, v)):
        names.add("h")
    flowing = flowing or learns_1 or any(learns_qkv)
    if flowing:
        names |= {"q", "k", "v", "y", "tops"}
    if keeps_input(o, trained):
        names.add("seen")
    flowing = flowing or learns_o or learns_2
    if flowing:
        names |= {"middle", "mean2", "rstd2"}
    if keeps_input(fc1, trained):
        names.add("h2")
    flowing = flowing or learns_fc1
    if flowing:
        names.add("slope")
    if keeps_input(fc2, trained):
        names.add("hidden")
    return names, flowing or learns_fc2


def _places(part: NormPlaces | LayerPlaces) -> list[int]:
    """Where a part's float tensors are."""
    if isinstance(part, NormPlaces):
        return [part.weight, part.bias]
    return [p for p in (part.weight, part.bias, part.A, part.B) if p is not None]


def keeps_input(layer: LayerPlaces, trained: Sequence[bool]) -> bool:
    """Whether a gradient needs the layer's input."""
    return trained[layer.weight] or layer.A is not None and (trained[layer.A] or trained[layer.B])


def numba_block(
    parts: tuple[NormPlaces | LayerPlaces, ...], arrays: Arrays, key: int, index: int
) -> blocks.Block:
    """A block as its compiled calls take it."""
    return blocks.Block(
        *(
            numba_norm(part, arrays)
            if isinstance(part, NormPlaces)
            else numba_layer(part, arrays, key + (index * len(parts) + number << 32))
            for number, part in enumerate(parts)
        )
    )


def numba_norm(norm: NormPlaces, arrays: Arrays) -> blocks.Norm:
    """A LayerNorm as the loops take it."""
    return blocks.Norm(arrays[norm.weight], arrays[norm.bias], np.float32(norm.eps))


def numba_layer(layer: LayerPlaces, arrays: Arrays, key: int) -> linears.Layer:
    """A Linear as the loops take it; in floats if its NF4 weight is no whole tiles and blocks."""
    weight, packed, updated = arrays[layer.weight], FLOATS, layer.A is not None
    out, into = weight.shape if layer.state is None else layer.state.shape
    if fits_strips(layer.state):
        scales = layer.state.scales().numpy()
        code = code_values().numpy()
        packed = nf4.NF4(weight.reshape(-1), layer.state.blocksize, code, scales)
        weight = NO_ROWS
    elif layer.state is not None:
        weight = quantization.dequantize(torch.from_numpy(weight), layer.state).numpy()
    return linears.Layer(
        weight,
        packed,
        NOTHING if layer.bias is None else arrays[layer.bias],
        arrays[layer.A] if updated else NOTHING.reshape(0, into),
        arrays[layer.B] if updated else NOTHING.reshape(out, 0),
        np.float32(layer.scaling),
        np.float32(layer.dropout),
        np.uint64(key & (1 << 64) - 1),
    )


def fits_strips(state: QuantState | None) -> bool:
    """Whether a weight in NF4 is made of whole tiles and blocks, so that strips can be unpacked."""
    if state is None:
        return False
    out, into = state.shape
    return out % WIDE == 0 and into % state.blocksize == 0


def zero_gradients(arrays: Arrays, trained: Sequence[bool]) -> list[np.ndarray | None]:
    """What gradients are added to, for each array that is trained."""
    return [np.zeros_like(a) if t else None for a, t in zip(arrays, trained, strict=True)]


def gradients_of(
    part: NormPlaces | LayerPlaces, sums: list[np.ndarray | None]
) -> blocks.Norm | linears.Gradients:
    """What a part's gradients are added to: the same array for a tensor that is used twice."""

    def total(place: int | None, empty: np.ndarray) -> np.ndarray:
        return empty if place is None or sums[place] is None else sums[place]

    if isinstance(part, NormPlaces):
        return blocks.Norm(total(part.weight, NOTHING), total(part.bias, NOTHING), np.float32(0))
    places = (part.weight, NO_ROWS), (part.bias, NOTHING), (part.A, NO_ROWS), (part.B, NO_ROWS)
    return linears.Gradients(*(total(*place) for place in places))
