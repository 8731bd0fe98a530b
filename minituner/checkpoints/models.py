"""Models on disk: safetensors beside a JSON, written atomically, read with checks.

Nothing here goes through pickle.
"""

import dataclasses
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from minituner import qlora
from minituner.checkpoints import bitsandbytes, foreign
from minituner.checkpoints.names import CONFIG_FILE, MODEL_FILE
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.model import MiniGPT, ModelConfig

QUANTIZATION = {"quant_type", "modules", "blocksize", "double_quant"}  # fields of config.json


def file_content(tensors: dict[str, torch.Tensor]) -> bytes:
    """Tensors as safetensors; one metadata key only, since the order of several may vary."""
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(contiguous, metadata={"format": "pt"})


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as safetensors."""
    content = file_content(tensors)
    with storage.atomic(path) as temporary:
        temporary.write_bytes(content)


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        UserError: if it is missing, truncated, not safetensors or in 8-bit floats.
    """
    try:
        tensors = safetensors.torch.load(storage.reading(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: truncated or not safetensors ({reason}); delete it and make it again"
        ) from None
    foreign.check_dtypes(path, tensors)
    return tensors


def save_model(folder: Path, model: MiniGPT, quantization: dict[str, Any] | None = None) -> None:
    """Write `model.safetensors` and `config.json` (shape, vocabulary, quantization) to a folder."""
    save_tensors(folder / MODEL_FILE, bitsandbytes.tensors_of(model))
    config = {"model": dataclasses.asdict(model.config), "quantization": quantization}
    storage.write_json(folder / CONFIG_FILE, config)


def read_config(folder: Path) -> tuple[ModelConfig, dict[str, Any] | None]:
    """The model's shape and its quantization, if any, from a folder's `config.json`.

    Raises:
        UserError: if a field is missing, unknown or of the wrong type.
    """
    path = folder / CONFIG_FILE
    content = storage.read_json(path)
    fields = content.get("model") if isinstance(content, dict) else None
    if not isinstance(fields, dict):
        raise UserError(f"{path}: model: missing; name a folder that `minituner base` wrote")
    expected = {field.name: field.type for field in dataclasses.fields(ModelConfig)}
    for name in expected.keys() ^ fields.keys():
        raise UserError(f"{path}: model.{name}: missing or unknown; expected {sorted(expected)}")
    for name, kind in expected.items():
        value = fields[name]
        if type(value) is not kind or (kind is int and value < 1) or value == "":
            raise UserError(
                f"{path}: model.{name}: {value!r:.60} is no valid {kind.__name__}; make it again"
            )
    config, quantization = ModelConfig(**fields), content.get("quantization")
    if config.d_model % config.n_head:
        raise UserError(
            f"{path}: model.n_head: {config.n_head} does not divide model.d_model = "
            f"{config.d_model}; make the file again"
        )
    if quantization is not None and not (
        isinstance(quantization, dict) and quantization.keys() == QUANTIZATION
    ):
        raise UserError(
            f"{path}: quantization: expected {sorted(QUANTIZATION)} or null; quantize again"
        )
    return config, quantization


def load_model(folder: Path) -> MiniGPT:
    """Read a float or an NF4 model that `save_model` wrote.

    Raises:
        UserError: if a file is missing or broken, or its tensors do not fit the configuration.
    """
    foreign.check_folder(folder, MODEL_FILE, CONFIG_FILE)
    config, quantization = read_config(folder)
    path = folder / MODEL_FILE
    tensors = load_tensors(path)
    # Before memory is taken for what config.json claims. Two packed weights share a byte.
    if config.parameters > 2 * sum(tensor.nbytes for tensor in tensors.values()):
        raise UserError(
            f"{folder / CONFIG_FILE}: model: more parameters than {path} can hold; make both again"
        )
    model = MiniGPT(config)
    if quantization:
        qlora.replace_linears(model, **quantization)
        tensors = bitsandbytes.codes_as_bytes(tensors)  # before they are looked at as numbers
    whole_numbers = (".weight", ".absmax", ".bitsandbytes__nf4") if quantization else ()
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() and not name.endswith(whole_numbers):
            raise UserError(f"{path}: {name}: holds {tensor.dtype}, not floats; make it again")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name}: holds NaN or infinity; make the file again")
    try:
        model.load_state_dict(bitsandbytes.state_dict_of(tensors, model), strict=True)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: does not fit {folder / CONFIG_FILE} ({reason[:300]}); make both again"
        ) from None
    return model
