"""NF4 layers under the names that bitsandbytes and transformers read, and back.

A layer's tensors are `weight`, `weight.absmax`, `weight.quant_map`,
`weight.quant_state.bitsandbytes__nf4` (JSON as bytes) and, with double quantization,
`weight.nested_absmax` and `weight.nested_quant_map`.
"""

import json
import math
from typing import Any

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


def state_dict_of(tensors: dict[str, torch.Tensor], model: nn.Module) -> dict[str, Any]:
    """The state dict that a model loads, of tensors under bitsandbytes' names.

    Raises:
        ValueError: naming the tensors of a layer that are missing, or that do not fit it.
    """
    state, faults = dict(tensors), []
    for prefix, layer in _nf4_layers(model).items():
        wanted = _layer_tensors(layer)
        missing = [prefix + name for name in wanted if prefix + name not in state]
        if missing:
            faults.append(f"Missing key(s): {', '.join(map(repr, missing))}")
            continue
        read = {name: state.pop(prefix + name) for name in wanted}
        plain = (prefix + name for name in (*BUFFERS.values(), "offset"))
        unexpected = [name for name in plain if name in state]
        faults += [f"Unexpected key(s): {', '.join(map(repr, unexpected))}"] if unexpected else []
        faults += [f"{prefix}{fault}" for fault in _faults(read, wanted)]
        state |= {prefix + buffer: read[name] for name, buffer in BUFFERS.items() if name in read}
        offset, problem = _offset(read[QUANT_STATE], layer)
        faults += [f"{prefix}weight: quant_state {problem}"] if problem else []
        if offset is not None:
            state[f"{prefix}offset"] = torch.tensor(offset)
    if faults:
        raise ValueError("; ".join(faults))
    return state


def _faults(read: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> list[str]:
    """What of a layer's tensors is not as the layer would write it, values of weights apart."""
    faults = []
    for name, tensor in read.items():
        expected = wanted[name]
        if name.endswith("quant_map") and not torch.equal(tensor, expected):
            faults.append(f"{name} is not the NF4 table")
        if name in BUFFERS and (tensor.shape, tensor.dtype) != (expected.shape, expected.dtype):
            faults.append(f"{name} has shape {tuple(tensor.shape)}, not {tuple(expected.shape)}")
    return faults


def _offset(quant_state: torch.Tensor, layer: NF4Linear) -> tuple[float | None, str]:
    """The mean that double quantization subtracted, and what is wrong with the state."""
    layer_state = layer.quant_state
    if quant_state.dtype != torch.uint8 or quant_state.dim() != 1:
        return None, "is no text"
    try:
        fields = json.loads(bytes(quant_state.tolist()))
        expected = {
            "quant_type": "nf4",
            "blocksize": layer_state.blocksize,
            "shape": list(layer_state.shape),
        }
        for name, value in expected.items():
            if fields[name] != value:
                return None, f"{name} is {fields[name]}, expected {value}"
        if layer_state.nested_absmax is None:
            return None, ""
        offset = fields["nested_offset"]
        if type(offset) is not float or not math.isfinite(offset):
            return None, f"nested_offset is {offset!r:.60}, no number"
        return offset, ""
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return None, f"cannot be read ({error})"
