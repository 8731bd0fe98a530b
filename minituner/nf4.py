"""NormalFloat-4 (Dettmers et al. 2023, arXiv:2305.14314): weights in 4 bits, and a Linear on them.

Each block of `blocksize` weights is divided by its largest magnitude, `absmax`, and each quotient
becomes the nearest of 16 code values: quantiles of a normal distribution, since trained weights are
nearly normal (section 3). Two codes share a byte, the first in the high nibble. With double
quantization the absmax values are themselves stored in 8 bits (section 3, "Double Quantization").

The numbers and the file layout are those of bitsandbytes.
"""

import dataclasses
import functools
import json
import math
import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from minituner.compute import fused, numerics
from minituner.foundation.errors import UserError

OFFSET = 0.9677083  # the outermost quantile: the mean of 1 − 1/30 and 1 − 1/32 (appendix E)
NESTED_BLOCKSIZE = 256
BLOCKSIZES = (64, 128, 256, 512, 1024, 2048, 4096)
LEAST = 1e-38  # smallest divisor; blocks below it are as good as zero
CHUNK = 1 << 18  # weights handled at a time, so that temporaries stay small; whole blocks
COMPILED = 1 << 19  # weights from which on compiled loops repay numba's import, where still to do


@functools.cache
def code_values() -> torch.Tensor:
    """The 16 values, float32, ascending from −1 to 1 with an exact 0 at index 7 (appendix E)."""
    quantile = statistics.NormalDist().inv_cdf

    def half(n: int) -> list[float]:
        return [quantile(p) for p in torch.linspace(OFFSET, 0.5, n + 1)[:-1].tolist()]

    # Eight positive values but seven negative ones, so that zero has a code of its own.
    values = sorted([*half(8), 0.0, *(-q for q in half(7))])
    code = torch.tensor(values)
    return code / code.max()


@functools.cache
def dynamic_map() -> torch.Tensor:
    """The 256 values of the 8-bit dynamic data type (Dettmers 2015, arXiv:1511.04561), float32.

    For each of seven powers of ten, evenly spaced fractions; more of them the larger the power.
    """
    values = [0.0, 1.0]
    for power in range(7):
        edges = torch.linspace(0.1, 1, 2**power + 1)
        means = 10.0 ** (power - 6) * (edges[:-1] + edges[1:]) / 2
        values += means.tolist() + (-means).tolist()
    return torch.tensor(sorted(values))


def _midpoints(code: torch.Tensor) -> torch.Tensor:
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


def _blocks(flat: torch.Tensor, blocksize: int) -> torch.Tensor:
    """(n,) → (blocks, blocksize), zeros behind the end."""
    return F.pad(flat, (0, -len(flat) % blocksize)).view(-1, blocksize)


def _nearest_nf4(flat: torch.Tensor, blocksize: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Index of the nearest of the 16 values, uint8 (n,), and absmax (blocks,), of float32 (n,).

    Scaling rounds as bitsandbytes' does, or codes would differ once in millions: whole blocks are
    multiplied by the reciprocal, a shorter last one is divided, and 1e-38 is the least divisor.
    """
    full = len(flat) - len(flat) % blocksize
    blocks, rest = flat[:full].view(-1, blocksize), flat[full:]
    absmax = blocks.abs().amax(dim=1)
    scaled = (blocks * (1.0 / absmax.clamp(min=LEAST))[:, None]).view(-1)
    if len(rest):
        last = rest.abs().max().clamp(min=LEAST)
        absmax, scaled = torch.cat([absmax, last[None]]), torch.cat([scaled, rest / last])
    # A value right on a midpoint takes the lower code.
    return torch.bucketize(scaled, _midpoints(code_values())).to(torch.uint8), absmax


def _nearest_dynamic(flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Index of the nearest of the 256 values, uint8 (n,), and absmax of each nested block.

    bitsandbytes looks them up in a table of 65,536 steps from −1 to 1, so that a value within half
    a step of a midpoint may take the code beside the nearest. Equal codes need the same table.
    """
    blocks = _blocks(flat, NESTED_BLOCKSIZE)
    absmax = blocks.abs().amax(dim=1)
    scaled = blocks * (1.0 / absmax.clamp(min=3e-39))[:, None]  # the least with a reciprocal
    last = 65_535
    steps = -1.0 + 2.0 * torch.arange(last + 1, dtype=torch.float32) / last
    table = torch.bucketize(steps, _midpoints(dynamic_map())).to(torch.uint8)
    indices = table[((scaled.clamp(-1, 1) + 1) * 0.5 * last + 0.5).int()]
    indices = torch.where(absmax[:, None] > 0, indices, 0)
    return indices.view(-1)[: len(flat)].contiguous(), absmax


def _repays(n: int) -> bool:
    return n >= COMPILED or "minituner.compute.kernels.jit" in sys.modules


def _compiled(work: Callable[..., None], flat: torch.Tensor, blocksize: int, *args) -> int:
    """Do the whole blocks of a large float32 `flat` by a compiled loop; how many weights it did."""
    usable = flat.dtype == torch.float32 and flat.device.type == "cpu" and _repays(len(flat))
    done = len(flat) - len(flat) % blocksize if usable else 0
    if done:
        work(flat[:done].numpy(), blocksize, *args)
    return done


def _quantize_blocks(flat, blocksize, packed, absmax) -> None:
    from minituner.compute.kernels import jit

    full = len(flat)
    jit.nf4_quantize(
        flat,
        blocksize,
        _midpoints(code_values()).numpy(),
        np.float32(LEAST),
        packed.view(-1)[: full // 2].numpy(),
        absmax[: full // blocksize].numpy(),
    )


def _dequantize_blocks(flat, blocksize, packed, scales) -> None:
    from minituner.compute.kernels import jit

    blocks = len(flat) // blocksize
    codes = packed.view(-1)[: len(flat) // 2].numpy()
    jit.nf4_dequantize(codes, blocksize, code_values().numpy(), scales[:blocks].numpy(), flat)


def quantize(
    weight: torch.Tensor, blocksize: int = 64, double_quant: bool = False
) -> tuple[torch.Tensor, QuantState]:
    """Packed codes, uint8 (⌈n/2⌉, 1), and their state, of a weight with n elements.

    Raises:
        UserError: for NaN or infinity, which have no code, or a blocksize out of the usual ones.
    """
    if type(blocksize) is not int or blocksize not in BLOCKSIZES:
        raise UserError(f"nf4.blocksize: {blocksize!r:.60}: use one of {BLOCKSIZES}")
    flat = weight.detach().reshape(-1)
    n = len(flat)
    packed = torch.empty(math.ceil(n / 2), 1, dtype=torch.uint8)
    absmax = torch.empty(math.ceil(n / blocksize))
    for start in range(_compiled(_quantize_blocks, flat, blocksize, packed, absmax), n, CHUNK):
        part = flat[start : start + CHUNK].float()
        codes, scales = _nearest_nf4(part, blocksize)
        codes = F.pad(codes, (0, len(codes) % 2), value=7)  # a spare nibble says zero
        packed[start // 2 : (start + CHUNK) // 2, 0] = codes[0::2] << 4 | codes[1::2]
        absmax[start // blocksize : start // blocksize + len(scales)] = scales
    if not torch.isfinite(absmax).all():
        raise UserError("nf4: the weight holds NaN or infinity; there is no code for them")
    state = QuantState(tuple(weight.shape), weight.dtype, blocksize, absmax)
    if double_quant:
        offset = absmax.mean()
        if not torch.isfinite(offset):
            raise UserError("nf4: the absmax values overflow; quantize with double_quant: false")
        state.absmax, state.nested_absmax = _nearest_dynamic(absmax - offset)
        state.offset = float(offset)
    return packed, state


@functools.cache
def _pairs() -> torch.Tensor:
    """(256, 2): both values of each byte, so that one look-up unpacks it."""
    return torch.cartesian_prod(code_values(), code_values())


def dequantize(packed: torch.Tensor, state: QuantState) -> torch.Tensor:
    """The weight again, in its shape and dtype, each element within half a code gap × absmax."""
    n, scales = math.prod(state.shape), state.scales()
    if state.dtype == torch.float32 and n >= COMPILED:
        # numpy asks the kernel for large pages: half the time of writing to so much fresh memory.
        weight = torch.from_numpy(np.empty(n, np.float32))
    else:
        weight = torch.empty(n, dtype=state.dtype)
    first = _compiled(_dequantize_blocks, weight, state.blocksize, packed, scales)
    for start in range(first, n, CHUNK):
        part = packed.view(-1)[start // 2 : (start + CHUNK) // 2]
        values = _pairs()[part.int()].view(-1)[: n - start]
        own = scales[start // state.blocksize : (start + CHUNK) // state.blocksize]
        scaled = _blocks(values, state.blocksize) * own[:, None]
        weight[start : start + CHUNK] = scaled.view(-1)[: len(values)]
    return weight.view(state.shape)


def _by_strips(x: torch.Tensor, state: QuantState) -> bool:
    """Whether `nf4_products` can compute with x: in whole tiles and blocks."""
    (out, into), block = state.shape, state.blocksize
    fits = out % 16 == 0 and into % block == 0 and _repays(out * into)
    return fits and state.dtype == torch.float32 and numerics.pinned(x)


def _strips(compute: str, x: torch.Tensor, packed, state, *row) -> torch.Tensor:
    """A function of `nf4_products`, (…, in) → (…, out) or back."""
    from minituner.compute.kernels import nf4_products

    width = state.shape[0 if row else 1]
    y = x.new_empty(x.shape[:-1].numel(), width)
    rows, codes, scales = x.reshape(len(y), -1).contiguous(), packed.view(-1), state.scales()
    given = *numerics.arrays(rows, codes), state.blocksize
    rest = numerics.arrays(code_values(), scales, *row, y)
    getattr(nf4_products, compute)(*given, *rest)
    return y.view(*x.shape[:-1], width)


class _NF4Linear(torch.autograd.Function):
    """y = x Wᵀ + b for a packed W, which backward unpacks anew: a float copy never stays alive."""

    @staticmethod
    def forward(ctx, x, packed, state, bias):
        ctx.save_for_backward(packed)
        ctx.state = state
        if not _by_strips(x, state):
            return numerics.linear(x, dequantize(packed, state).to(x.dtype), bias)
        row = x.new_zeros(state.shape[0]) if bias is None else bias
        return _strips("product", x, packed, state, row)

    @staticmethod
    def backward(ctx, grad):
        (packed,) = ctx.saved_tensors
        state = ctx.state
        if _by_strips(grad, state):
            return _strips("product_backward", grad, packed, state), None, None, None
        weight = dequantize(packed, state).to(grad.dtype)
        return numerics.linear(grad.contiguous(), weight.t()), None, None, None


class NF4Linear(nn.Module):
    """A frozen Linear whose weight is held in 4 bits, (…, in) → (…, out).

    Its tensors are saved under the names that bitsandbytes and transformers read: `weight`,
    `weight.absmax`, `weight.quant_map`, `weight.quant_state.bitsandbytes__nf4` and, with double
    quantization, `weight.nested_absmax` and `weight.nested_quant_map`.
    """

    def __init__(self, packed: torch.Tensor, state: QuantState, bias: torch.Tensor | None = None):
        super().__init__()
        self.out_features, self.in_features = state.shape
        self.register_buffer("weight", packed, persistent=False)
        self.register_buffer("absmax", state.absmax, persistent=False)
        self.register_buffer("nested_absmax", state.nested_absmax, persistent=False)
        self.register_buffer("bias", None if bias is None else bias.detach().clone())
        self._state = state

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, blocksize: int = 64, double_quant: bool = False
    ) -> "NF4Linear":
        """Quantize a Linear's weight; its bias stays as it is."""
        return cls(*quantize(linear.weight, blocksize, double_quant), linear.bias)

    @property
    def quant_state(self) -> QuantState:
        """How to read `weight`, made of the buffers as they are now."""
        return dataclasses.replace(
            self._state, absmax=self.absmax, nested_absmax=self.nested_absmax
        )

    def dequantized(self) -> torch.Tensor:
        """The weight as floats, (out, in)."""
        return dequantize(self.weight, self.quant_state)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x Wᵀ + b."""
        return _NF4Linear.apply(x, self.weight, self.quant_state, self.bias)

    def layer(self) -> fused.Layer:
        """Its numbers as floats, for the compiled sublayers."""
        return fused.Layer(self.dequantized(), self.bias)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        state = self.quant_state
        fields: dict[str, Any] = {
            "quant_type": "nf4",
            "blocksize": state.blocksize,
            "dtype": str(state.dtype).removeprefix("torch."),
            "shape": list(state.shape),
        }
        destination[f"{prefix}weight"] = self.weight
        destination[f"{prefix}weight.absmax"] = state.absmax
        destination[f"{prefix}weight.quant_map"] = code_values().clone()
        if state.nested_absmax is not None:
            fields |= {
                "nested_blocksize": NESTED_BLOCKSIZE,
                "nested_dtype": "float32",
                "nested_offset": state.offset,
            }
            destination[f"{prefix}weight.nested_absmax"] = state.nested_absmax
            destination[f"{prefix}weight.nested_quant_map"] = dynamic_map().clone()
        packed = torch.tensor(list(json.dumps(fields).encode()), dtype=torch.uint8)
        destination[f"{prefix}weight.quant_state.bitsandbytes__nf4"] = packed

    def _load_from_state_dict(
        self, state_dict, prefix, metadata, strict, missing, unexpected, errors
    ):
        key = f"{prefix}weight"
        wanted = ["", ".absmax", ".quant_map", ".quant_state.bitsandbytes__nf4"]
        if self.nested_absmax is not None:
            wanted += [".nested_absmax", ".nested_quant_map"]
        found = {part: state_dict.pop(key + part, None) for part in wanted}
        missing += [key + part for part, tensor in found.items() if tensor is None]
        if not any(tensor is None for tensor in found.values()):
            self._read(key, found, errors)
        super()._load_from_state_dict(
            state_dict, prefix, metadata, strict, missing, unexpected, errors
        )

    def _read(self, key: str, found: dict[str, torch.Tensor], errors: list[str]) -> None:
        maps = {".quant_map": code_values(), ".nested_quant_map": dynamic_map()}
        buffers = {"": "weight", ".absmax": "absmax", ".nested_absmax": "nested_absmax"}
        for part, tensor in found.items():
            if part in maps and not torch.equal(tensor, maps[part]):
                errors.append(f"{key}{part} is not the NF4 table")
            if part in buffers:
                own = getattr(self, buffers[part])
                if (tensor.shape, tensor.dtype) != (own.shape, own.dtype):
                    errors.append(
                        f"{key}{part} has shape {tuple(tensor.shape)}, not {tuple(own.shape)}"
                    )
                else:
                    own.copy_(tensor)
        try:
            fields = json.loads(bytes(found[".quant_state.bitsandbytes__nf4"].tolist()))
            expected = {"quant_type": "nf4", "blocksize": self._state.blocksize}
            expected["shape"] = list(self._state.shape)
            for name, value in expected.items():
                if fields[name] != value:
                    errors.append(f"{key}: quant_state {name} is {fields[name]}, expected {value}")
            if self.nested_absmax is not None:
                offset = fields["nested_offset"]
                if type(offset) is not float or not math.isfinite(offset):
                    errors.append(f"{key}: quant_state nested_offset is {offset!r:.60}, no number")
                self._state.offset = offset
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            errors.append(f"{key}: quant_state cannot be read ({error})")

    def extra_repr(self) -> str:
        """What printing the module adds."""
        shape = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{shape}, blocksize={self._state.blocksize}, bias={self.bias is not None}"


def replace_linears(
    model: nn.Module,
    modules: list[str],
    quant_type: str = "nf4",
    blocksize: int = 64,
    double_quant: bool = False,
) -> nn.Module:
    """Quantize the named Linears of `model` in place; returns the model.

    Raises:
        UserError: for another quant_type, or a name that is no Linear of the model.
    """
    if quant_type != "nf4":
        raise UserError(
            f"quantization: quant_type {quant_type!r:.60} is unknown; only nf4 is supported"
        )
    if not isinstance(modules, list) or not all(isinstance(name, str) for name in modules):
        raise UserError("quantization: modules: not a list of names; quantize the base again")
    for name in modules:
        parent, _, child = name.rpartition(".")
        try:
            owner = model.get_submodule(parent)
            linear = getattr(owner, child)
        except AttributeError:
            linear = None
        if not isinstance(linear, nn.Linear):
            raise UserError(
                f"quantization: {name!r:.60} is no Linear of the model; quantize it again"
            )
        setattr(owner, child, NF4Linear.from_linear(linear, blocksize, double_quant))
    return model
