"""Lab 03's steps about codes: a block, a matrix, two codes a byte."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

from minituner import nf4
from minituner.foundation import seeds
from minituner.labs.checking import Work, Wrong, tell

BLOCK = 64
CODE = nf4.code_values()


def drawn(*shape: int) -> torch.Tensor:
    """Normal numbers whose largest magnitude is a negative one."""
    draw = torch.Generator().manual_seed(seeds.derive_seed(0, "lab 03", *shape))
    numbers = torch.randn(shape, generator=draw)
    return -numbers if numbers.max() == numbers.abs().max() else numbers


def codes_of(scaled: torch.Tensor) -> torch.Tensor:
    """Index of the nearest value for each number, in its shape."""
    return (scaled[..., None] - CODE).abs().argmin(dim=-1)


def pair(answer: Any, what: str) -> tuple[Any, Any]:
    """An answer of two things.

    Raises:
        Wrong: if it is none.
    """
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong("", f"{what} must return two tensors, codes and absmax")
    return answer[0], answer[1]


def are_codes(answer: Any, right: torch.Tensor, wrong: dict[str, Any], what: str) -> None:
    """Hold codes against the right ones, their type included.

    Raises:
        Wrong: if they differ or are no uint8.
    """
    tell(answer, right, wrong, what)
    if answer.dtype != torch.uint8:
        raise Wrong("", f"{what} are {answer.dtype}, not uint8")


def looked_up(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call with uint8 codes gives.

    Raises:
        Wrong: if it takes them as they are for an index.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own advice there is about real masks
        try:
            return call(*arguments)
        except IndexError as error:
            if "mask" not in str(error):
                raise
            raise Wrong("uint8 taken for a mask") from None


def one_block(work: Work) -> None:
    """A block's codes, and the weights again."""
    block = drawn(BLOCK)
    codes, absmax = pair(work.quantize_block(block.clone()), "quantize_block")
    top = block.abs().max()
    tell(torch.as_tensor(absmax), top, {"maximum without magnitude": block.max()}, "absmax")
    right = codes_of(block / top)
    below = torch.bucketize(block / top, CODE, right=True) - 1
    evenly = (block / top * 7).round() + 7
    wrong = {
        "weights not divided": codes_of(block),
        "code below and not nearest": below.clamp(0, 15),
        "codes off by one": right + 1,
        "evenly spaced values": evenly,
    }
    are_codes(codes, right, wrong, "the codes")
    again = {"absmax forgotten": CODE[right]}
    weights = looked_up(work.dequantize_block, right.to(torch.uint8), top)
    tell(weights, CODE[right] * top, again, "the block again")


def matrix(work: Work) -> None:
    """Codes and scales of matrices whose rows are longer and shorter than a block."""
    for out, into in ((6, 128), (8, 32)):
        weight = drawn(out, into)
        blocks = weight.view(-1, BLOCK)
        top = blocks.abs().amax(dim=1)
        codes, absmax = pair(work.quantize(weight.clone()), "quantize")
        if getattr(absmax, "numel", int)() == 1:
            raise Wrong("one absmax for all")
        if getattr(absmax, "numel", int)() == out:
            raise Wrong("absmax per row")
        by_row = weight.abs().amax(dim=1).repeat_interleave(into).view(-1, BLOCK)[:, 0]
        columns = weight.T.reshape(-1, BLOCK).abs().amax(dim=1)
        wrong = {"absmax per row": by_row, "blocks down the columns": columns}
        tell(absmax, top, wrong, "absmax")
        right = codes_of(blocks / top[:, None]).flatten()
        wrong = {"codes off by one": right + 1}
        are_codes(codes, right, wrong, "the codes of a matrix")
        again = looked_up(work.dequantize, right.to(torch.uint8), top, (out, into))
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
    are_codes(packed, right, wrong, "the bytes")
    swapped = torch.stack([second, first], dim=1).flatten()
    are_codes(work.unpack(right), codes, {"low half first": swapped}, "the codes again")
