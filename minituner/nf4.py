"""NormalFloat-4 (Dettmers et al. 2023, arXiv:2305.14314): weights in 4 bits, and a Linear on them.

Each block of `blocksize` weights is divided by its largest magnitude, `absmax`, and each quotient
becomes the nearest of 16 code values: quantiles of a normal distribution, since trained weights are
nearly normal (section 3). Two codes share a byte, the first in the high nibble. With double
quantization the absmax values are themselves stored in 8 bits (section 3, "Double Quantization").

The numbers are those of bitsandbytes, to the last bit; only double quantization's mean is not,
which there depends on the CPU.
"""

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable

import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner.foundation.errors import UserError

OFFSET = 0.9677083  # the outermost quantile: the mean of 1 − 1/30 and 1 − 1/32 (appendix E)
NESTED_BLOCKSIZE = 256
BLOCKSIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
LEAST = 1e-38  # smallest divisor; blocks below it are as good as zero
ZERO = 7  # the code of the value 0


def evenly(first: float, last: float, n: int) -> torch.Tensor:
    """`torch.linspace`, float32, as it is with fused multiply-adds; without them it differs."""
    ends = torch.tensor([first, last], dtype=torch.float32, device="cpu")
    (low, high), step = ends.double(), ((ends[1] - ends[0]) / (n - 1)).double()
    i = torch.arange(n, dtype=torch.float64, device="cpu")
    return torch.where(i < n // 2, low + step * i, high - step * (n - 1 - i)).float()


@functools.cache
@torch.inference_mode(False)  # what is kept for all later calls must not depend on the first
def code_values() -> torch.Tensor:
    """The 16 values, float32, ascending from −1 to 1 with an exact 0 at index 7 (appendix E)."""
    quantile = statistics.NormalDist().inv_cdf

    def half(n: int) -> list[float]:
        return [quantile(p) for p in evenly(OFFSET, 0.5, n + 1)[:-1].tolist()]

    # Eight positive values but seven negative ones, so that zero has a code of its own.
    values = sorted([*half(8), 0.0, *(-q for q in half(7))])
    code = torch.tensor(values, dtype=torch.float32, device="cpu")
    return code / code.max()


@functools.cache
@torch.inference_mode(False)
def dynamic_map() -> torch.Tensor:
    """The 256 values of the 8-bit dynamic data type (Dettmers 2015, arXiv:1511.04561), float32.

    For each of seven powers of ten, evenly spaced fractions; more of them the larger the power.
    """
    values = [0.0, 1.0]
    for power in range(7):
        edges = evenly(0.1, 1.0, 2**power + 1)
        means = 10.0 ** (power - 6) * (edges[:-1] + edges[1:]) / 2
        values += means.tolist() + (-means).tolist()
    return torch.tensor(sorted(values), dtype=torch.float32, device="cpu")


def midpoints(code: torch.Tensor) -> torch.Tensor:
    """The values halfway between neighbours, where the nearest code changes."""
    return (code[:-1] + code[1:]) / 2


@dataclasses.dataclass
class QuantState:
    """What it takes to read packed codes again.

    Attributes:
        shape: of the weight.
        dtype: of the weight before quantizing, and after dequantizing.
        blocksize: weights that share one absmax.
        absmax: float32, one a block; with double quantization uint8 codes instead.
        nested_absmax, offset: float32, for double quantization: one a block of 256 absmax values,
            and the mean that was subtracted first.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    blocksize: int
    absmax: torch.Tensor
    nested_absmax: torch.Tensor | None = None
    offset: float | None = None

    def scales(self) -> torch.Tensor:
        """absmax as float32, one a block, whether or not it is stored in 8 bits."""
        if self.nested_absmax is None:
            return self.absmax
        values = dynamic_map()[self.absmax.int()]
        blocks = self.nested_absmax.repeat_interleave(NESTED_BLOCKSIZE)[: len(values)]
        return values * blocks + self.offset


def blocks_of(flat: torch.Tensor, blocksize: int) -> torch.Tensor:
    """(n,) → (⌈n / blocksize⌉, blocksize), zeros behind the end."""
    return F.pad(flat, (0, -len(flat) % blocksize)).view(-1, blocksize)


def nearest_nf4(flat: torch.Tensor, blocksize: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Index of the nearest of the 16 values, uint8 (n,), and absmax (blocks,), of float32 (n,).

    Scaling rounds as bitsandbytes' does, or codes would differ once in millions: whole blocks are
    multiplied by the reciprocal, a shorter last one is divided, and 1e-38 is the least divisor.
    """
    full = len(flat) - len(flat) % blocksize
    blocks, tail = flat[:full].view(-1, blocksize), flat[full:]
    absmax = blocks.abs().amax(dim=1)
    scaled = (blocks * (1.0 / absmax.clamp(min=LEAST))[:, None]).view(-1)
    if len(tail):
        last = tail.abs().max().clamp(min=LEAST)
        absmax, scaled = torch.cat([absmax, last[None]]), torch.cat([scaled, tail / last])
    # A value right on a midpoint takes the lower code.
    return torch.bucketize(scaled, midpoints(code_values())).to(torch.uint8), absmax


def nearest_dynamic(flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Index of the nearest of the 256 values, uint8 (n,), and absmax of each nested block.

    bitsandbytes looks them up in a table of 65,536 steps from −1 to 1, so that a value within half
    a step of a midpoint may take the code beside the nearest. Equal codes need the same table.
    """
    blocks = blocks_of(flat, NESTED_BLOCKSIZE)
    absmax = blocks.abs().amax(dim=1)
    scaled = blocks * (1.0 / absmax.clamp(min=3e-39))[:, None]  # the least with a reciprocal
    last = 65_535
    steps = -1.0 + 2.0 * torch.arange(last + 1, dtype=torch.float32) / last
    table = torch.bucketize(steps, midpoints(dynamic_map())).to(torch.uint8)
    indices = table[((scaled.clamp(-1, 1) + 1) * 0.5 * last + 0.5).int()]
    indices = torch.where(absmax[:, None] > 0, indices, 0)
    return indices.view(-1)[: len(flat)].contiguous(), absmax


def check_blocksize(blocksize: int) -> None:
    """Refuse a blocksize that bitsandbytes does not have.

    Raises:
        UserError: naming those it has.
    """
    if type(blocksize) is not int or blocksize not in BLOCKSIZES:
        raise UserError(f"nf4.blocksize: {blocksize!r:.60}: use one of {BLOCKSIZES}")


def quantize(
    weight: torch.Tensor, blocksize: int = 64, double_quant: bool = False
) -> tuple[torch.Tensor, QuantState]:
    """Packed codes, uint8 (⌈n/2⌉, 1), and their state, of a weight with n elements.

    Raises:
        UserError: for NaN or infinity, which have no code, or a blocksize out of the usual ones.
    """
    check_blocksize(blocksize)
    codes, absmax = nearest_nf4(weight.detach().reshape(-1).float(), blocksize)
    codes = F.pad(codes, (0, len(codes) % 2), value=ZERO)
    packed = (codes[0::2] << 4 | codes[1::2])[:, None]
    return packed, quant_state(weight, blocksize, absmax, double_quant)


def quant_state(
    weight: torch.Tensor, blocksize: int, absmax: torch.Tensor, double_quant: bool
) -> QuantState:
    """The state of a weight's codes, its absmax (blocks,) in 8 bits with double quantization.

    Raises:
        UserError: if the weight held NaN or infinity, or absmax is too large to be averaged.
    """
    if not torch.isfinite(absmax).all():
        raise UserError("nf4: the weight holds NaN or infinity; there is no code for them")
    state = QuantState(tuple(weight.shape), weight.dtype, blocksize, absmax)
    if double_quant:
        # The exact mean, rounded once: PyTorch's own depends on the CPU in its last bit.
        offset = torch.tensor(math.fsum(absmax.tolist()) / len(absmax), dtype=torch.float32)
        if not torch.isfinite(offset):
            raise UserError("nf4: the absmax values overflow; quantize with double_quant: false")
        state.absmax, state.nested_absmax = nearest_dynamic(absmax - offset)
        state.offset = float(offset)
    return state


@functools.cache
@torch.inference_mode(False)
def _pairs() -> torch.Tensor:
    """(256, 2): both values of each byte, so that one look-up unpacks it."""
    return torch.cartesian_prod(code_values(), code_values())


def check_packed(packed: torch.Tensor, state: QuantState) -> None:
    """Refuse codes that do not belong to a state.

    Raises:
        ValueError: naming how many codes and scales there are, and for what.
    """
    n, scales = math.prod(state.shape), len(state.absmax)
    if packed.dtype != torch.uint8 or packed.numel() != -(-n // 2):
        raise ValueError(f"nf4: {packed.numel()} × {packed.dtype} are no codes of {state.shape}")
    if scales != -(-n // state.blocksize):
        raise ValueError(f"nf4: {scales} scales are no scales of {state.shape}; quantize it again")


def dequantize(packed: torch.Tensor, state: QuantState) -> torch.Tensor:
    """The weight again, in its shape and dtype, each element within half a code gap × absmax.

    Raises:
        ValueError: if the codes or the scales are too many or too few for the shape.
    """
    check_packed(packed, state)
    n = math.prod(state.shape)
    values = _pairs()[packed.reshape(-1).int()].view(-1)[:n]
    weight = blocks_of(values, state.blocksize) * state.scales()[:, None]
    return weight.view(-1)[:n].view(state.shape).to(state.dtype)


class _NF4Linear(torch.autograd.Function):
    """y = x Wᵀ + b for a packed W, which backward unpacks anew: a float copy never stays alive.

    As in bitsandbytes, forward unpacks to the dtype of x, and backward to the state's first.
    """

    @staticmethod
    def forward(ctx, x, packed, state, bias):
        ctx.save_for_backward(packed)
        ctx.state = state
        return F.linear(x, dequantize(packed, dataclasses.replace(state, dtype=x.dtype)), bias)

    @staticmethod
    def backward(ctx, grad):
        (packed,) = ctx.saved_tensors
        return grad @ dequantize(packed, ctx.state).to(grad.dtype), None, None, None


class NF4Linear(nn.Module):
    """A frozen Linear whose weight is held in 4 bits, (…, in) → (…, out).

    Its buffers are `weight`, the packed codes, `absmax`, with double quantization `nested_absmax`
    and `offset`, and `bias` if there is one. `dtype` is what the weight had before quantizing.
    """

    def __init__(self, packed: torch.Tensor, state: QuantState, bias: torch.Tensor | None = None):
        super().__init__()
        self.out_features, self.in_features = state.shape
        self.register_buffer("weight", packed)
        self.register_buffer("absmax", state.absmax)
        self.register_buffer("nested_absmax", state.nested_absmax)
        offset = None if state.offset is None else torch.tensor(state.offset)
        self.register_buffer("offset", offset)
        self.register_buffer("bias", None if bias is None else bias.detach().clone())
        self._state, self.dtype = state, state.dtype

    @classmethod
    def from_linear(
        cls,
        linear: nn.Linear,
        blocksize: int = 64,
        double_quant: bool = False,
        quantize: Callable = quantize,
    ) -> "NF4Linear":
        """Quantize a Linear's weight; its bias stays as it is."""
        return cls(*quantize(linear.weight, blocksize, double_quant), linear.bias)

    @property
    def quant_state(self) -> QuantState:
        """How to read `weight`, made of the buffers and `dtype` as they are now."""
        return dataclasses.replace(
            self._state,
            dtype=self.dtype,
            absmax=self.absmax,
            nested_absmax=self.nested_absmax,
            offset=None if self.offset is None else float(self.offset),
        )

    def dequantized(self) -> torch.Tensor:
        """The weight that a float32 input meets, (out, in)."""
        return dequantize(self.weight, dataclasses.replace(self.quant_state, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x Wᵀ + b."""
        return _NF4Linear.apply(x, self.weight, self.quant_state, self.bias)

    def _apply(self, fn: Callable, recurse: bool = True) -> "NF4Linear":
        """As PyTorch moves and casts a module, but the scales stay float32 as the codes need it."""
        scales = {name: getattr(self, name) for name in ("absmax", "nested_absmax", "offset")}
        super()._apply(fn, recurse)
        for name, scale in scales.items():
            if scale is not None and scale.is_floating_point():
                setattr(self, name, scale.to(self.weight.device))
        return self

    def extra_repr(self) -> str:
        """What printing the module adds."""
        shape = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{shape}, blocksize={self._state.blocksize}, bias={self.bias is not None}"
