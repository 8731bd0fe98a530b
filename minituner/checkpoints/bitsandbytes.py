"""NF4 layers under the names that bitsandbytes and transformers read, and back.

A layer's tensors are `weight`, `weight.absmax`, `weight.quant_map`,
`weight.quant_state.bitsandbytes__nf4` (JSON as bytes) and, with double quantization,
`weight.nested_absmax` and `weight.nested_quant_map`.
"""

import json
import math
from typing import Any, NamedTuple

import torch
import torch.nn as nn

from minituner.nf4 import NESTED_BLOCKSIZE, NF4Linear, code_values, dynamic_map

QUANT_STATE = "weight.quant_state.bitsandbytes__nf4"
# A tensor of the file → the layer's own buffer.
BUFFERS = {
    "weight": "weight",
    "weight.absmax": "absmax",
    "weight.nested_absmax": "nested_absmax",
}
HALVES = (torch.float16, torch.bfloat16)
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, *HALVES)}


class Fields(NamedTuple):
    """What of a `quant_state` is not known from the layer that it belongs to."""

    dtype: torch.dtype  # of the weight before quantizing
    offset: float | None  # the mean that double quantization subtracted


def _nf4_layers(model: nn.Module) -> dict[str, NF4Linear]:
    """Prefix of a layer's names → the layer."""
    return {
        f"{name}." if name else "": module
        for name, module in model.named_modules()
        if isinstance(module, NF4Linear)
    }


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """A model's tensors, its NF4 layers' under bitsandbytes' names."""
    tensors = model.state_dict()
    for prefix, layer in _nf4_layers(model).items():
        for name in (*BUFFERS.values(), "offset"):
            tensors.pop(prefix + name, None)
        tensors |= {prefix + name: tensor for name, tensor in _layer_tensors(layer).items()}
    return tensors


def _layer_tensors(layer: NF4Linear) -> dict[str, torch.Tensor]:
    state = layer.quant_state
    fields: dict[str, Any] = {
        "quant_type": "nf4",
        "blocksize": state.blocksize,
        "dtype": str(state.dtype).removeprefix("torch."),
        "shape": list(state.shape),
    }
    tensors = {
        "weight": layer.weight,
        "weight.absmax": state.absmax,
        "weight.quant_map": code_values().clone(),
    }
    if state.nested_absmax is not None:
        fields |= {
            "nested_blocksize": NESTED_BLOCKSIZE,
            "nested_dtype": "float32",
            "nested_offset": state.offset,
        }
        tensors["weight.nested_absmax"] = state.nested_absmax
        tensors["weight.nested_quant_map"] = dynamic_map().clone()
    tensors[QUANT_STATE] = torch.tensor(list(json.dumps(fields).encode()), dtype=torch.uint8)
    return tensors


def codes_as_bytes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a file, codes as uint8 (n, 1) where they were kept as another dtype's bytes.

    `bnb_4bit_quant_storage` chooses that dtype; the bytes are the same.
    """
    suffix = QUANT_STATE.removeprefix("weight")
    packed = [name.removesuffix(suffix) for name in tensors if name.endswith(suffix)]
    codes = {
        name: tensors[name].contiguous().view(torch.uint8).reshape(-1, 1)
        for name in packed
        if name in tensors and tensors[name].dim()
    }
    return tensors | codes


def state_dict_of(tensors: dict[str, torch.Tensor], model: nn.Module) -> dict[str, Any]:
    """The state dict that a model loads, of tensors under bitsandbytes' names.

    Each NF4 layer takes over the dtype of its state, which a state dict has no place for.

    Raises:
        ValueError: naming the tensors of a layer that are missing, or that do not fit it.
    """
    state, faults, dtypes = codes_as_bytes(tensors), [], {}
    for prefix, layer in _nf4_layers(model).items():
        wanted = _layer_tensors(layer)
        missing = [prefix + name for name in wanted if prefix + name not in state]
        if missing:
            faults.append(f"Missing key(s): {', '.join(map(repr, missing))}")
            continue
        read = {name: state.pop(prefix + name) for name in wanted}
        if read["weight.absmax"].dtype in HALVES:  # as the CPU's kernels of bitsandbytes do
            read["weight.absmax"] = read["weight.absmax"].float()
        plain = (prefix + name for name in (*BUFFERS.values(), "offset"))
        unexpected = [name for name in plain if name in state]
        faults += [f"Unexpected key(s): {', '.join(map(repr, unexpected))}"] if unexpected else []
        faults += [f"{prefix}{fault}" for fault in _faults(read, wanted)]
        state |= {prefix + buffer: read[name] for name, buffer in BUFFERS.items() if name in read}
        try:
            dtypes[layer], offset = _fields(read[QUANT_STATE], layer)
        except ValueError as error:
            faults.append(f"{prefix}weight: quant_state {error}")
            continue
        if offset is not None:
            state[f"{prefix}offset"] = torch.tensor(offset)
    if faults:
        raise ValueError("; ".join(faults))
    for layer, dtype in dtypes.items():
        layer.dtype = dtype
    return state


def _faults(read: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> list[str]:
    """What of a layer's tensors is not as the layer would write it, values of weights apart."""
    faults = []
    for name, tensor in read.items():
        expected = wanted[name]
        if name.endswith("quant_map") and not torch.equal(tensor, expected):
            faults.append(f"{name} is not the NF4 table")
        held, fits = ((t.dtype, tuple(t.shape)) for t in (tensor, expected))
        if name in BUFFERS and held != fits:
            faults.append(f"{name} has shape {held[1]} of {held[0]}, not {fits[1]} of {fits[0]}")
    return faults


def _fields(quant_state: torch.Tensor, layer: NF4Linear) -> Fields:
    """What the JSON of a layer's state says.

    Raises:
        ValueError: saying what of it does not fit the layer, or cannot be read.
    """
    nested = layer.quant_state.nested_absmax is not None
    if quant_state.dtype != torch.uint8 or quant_state.dim() != 1:
        raise ValueError("is no text")
    expected = {
        "quant_type": "nf4",
        "blocksize": layer.quant_state.blocksize,
        "shape": list(layer.quant_state.shape),
    } | ({"nested_blocksize": NESTED_BLOCKSIZE} if nested else {})
    try:
        fields = json.loads(bytes(quant_state.tolist()))
        differing = [name for name, value in expected.items() if fields[name] != value]
        dtype, offset = DTYPES.get(fields["dtype"]), fields["nested_offset"] if nested else None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"cannot be read ({error})") from None
    if differing:
        name = differing[0]
        raise ValueError(f"{name} is {fields[name]}, expected {expected[name]}")
    if dtype is None:
        raise ValueError(f"dtype is {fields['dtype']!r:.60}, expected {' or '.join(DTYPES)}")
    if nested and (type(offset) is not float or not math.isfinite(offset)):
        raise ValueError(f"nested_offset is {offset!r:.60}, no number")
    return Fields(dtype, offset)
