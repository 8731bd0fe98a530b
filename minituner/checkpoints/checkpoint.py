"""Models and adapters on disk: safetensors beside a JSON, written atomically, read with checks.

Nothing here goes through pickle.
"""

import dataclasses
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from minituner import nf4
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.lora import (
    load_lora_state_dict,
    lora_layers,
    lora_state_dict,
    wrap_minigpt_with_lora,
)
from minituner.model import MiniGPT, ModelConfig

MODEL_FILE, CONFIG_FILE = "model.safetensors", "config.json"
QUANTIZATION = {"quant_type", "modules", "blocksize", "double_quant"}  # fields of config.json
ADAPTER_FILE, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
# Fields of PEFT's LoraConfig that change what an adapter computes, and the value of plain LoRA.
PLAIN_LORA = {
    "peft_type": "LORA",
    "bias": "none",
    "lora_bias": False,
    "use_dora": False,
    "use_rslora": False,
    "fan_in_fan_out": False,
    "rank_pattern": None,
    "alpha_pattern": None,
    "modules_to_save": None,
    "exclude_modules": None,
    "layers_to_transform": None,
    "layer_replication": None,
    "target_parameters": None,
    "trainable_token_indices": None,
}


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as safetensors; one metadata key only, since the order of several may vary."""
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    content = safetensors.torch.save(contiguous, metadata={"format": "pt"})
    with storage.atomic(path) as temporary:
        temporary.write_bytes(content)


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        UserError: if it is missing, truncated or not safetensors.
    """
    try:
        return safetensors.torch.load(storage.reading(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: truncated or not safetensors ({reason}); delete it and make it again"
        ) from None


def save_model(folder: Path, model: MiniGPT, quantization: dict[str, Any] | None = None) -> None:
    """Write `model.safetensors` and `config.json` (shape, vocabulary, quantization) to a folder."""
    save_tensors(folder / MODEL_FILE, model.state_dict())
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
        nf4.replace_linears(model, **quantization)
    whole_numbers = (".weight", ".absmax", ".bitsandbytes__nf4") if quantization else ()
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() and not name.endswith(whole_numbers):
            raise UserError(f"{path}: {name}: holds {tensor.dtype}, not floats; make it again")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name}: holds NaN or infinity; make the file again")
    try:
        model.load_state_dict(tensors, strict=True)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: does not fit {folder / CONFIG_FILE} ({reason[:300]}); make both again"
        ) from None
    return model


def base_hash(folder: Path) -> str:
    """What an adapter records of the base it was trained on: the hash of its weights' file."""
    return storage.sha256(folder / MODEL_FILE)


def _targets(model: MiniGPT) -> list[str]:
    """What to record as `target_modules`: name endings, or whole names where those match more."""
    wrapped = lora_layers(model)
    endings = {name.rpartition(".")[2] for name in wrapped}
    left_out = [
        name
        for name, module in model.named_modules()
        if hasattr(module, "in_features") and name.removesuffix(".base") not in wrapped
    ]
    whole = any(name.rpartition(".")[2] in endings for name in left_out)
    return sorted(wrapped if whole else endings)


def save_adapter(folder: Path, model: MiniGPT, base: Path) -> None:
    """Write the LoRA layers alone, in PEFT's format: `adapter_model.safetensors` and its JSON.

    PEFT has no field for the hash of the base's file; `revision`, "the specific base model
    version", comes closest, and a field that PEFT does not know would make it warn.
    """
    layer = next(iter(lora_layers(model).values()))
    save_tensors(folder / ADAPTER_FILE, lora_state_dict(model))
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": None,
        "revision": base_hash(base),
        "r": layer.rank,
        "lora_alpha": layer.alpha,
        "lora_dropout": layer.dropout,
        "target_modules": _targets(model),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "task_type": None,
    }
    storage.write_json(folder / ADAPTER_CONFIG, config)


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """The JSON of an adapter that `save_adapter` or PEFT wrote.

    Raises:
        UserError: if it is no adapter's, or asks for more than plain LoRA.
    """
    path = folder / ADAPTER_CONFIG
    config = storage.read_json(path)
    needed = ("peft_type", "r", "lora_alpha", "target_modules")
    for name in needed:
        if not isinstance(config, dict) or name not in config:
            raise UserError(f"{path}: {name}: missing; name a folder that holds an adapter")
    for name, kinds in (("r", (int,)), ("lora_alpha", (int, float))):
        if type(config[name]) not in kinds:
            problem = f"{config[name]!r:.60} is no {kinds[-1].__name__}"
            raise UserError(f"{path}: {name}: {problem}; train the adapter again")
    for name, plain in PLAIN_LORA.items():
        if config.get(name) not in (plain, None) and config[name] not in ({}, []):
            raise UserError(
                f"{path}: {name}: {config[name]!r:.60} is more than plain LoRA; "
                f"train the adapter with {name}={plain!r}"
            )
    return config


def load_adapter(folder: Path, model: MiniGPT, base: Path) -> MiniGPT:
    """Wrap `model`, read from `base`, and load the adapter in `folder` onto it.

    Raises:
        UserError: if the adapter is broken, untrained or made for another base.
    """
    path = folder / ADAPTER_CONFIG
    config = read_adapter_config(folder)
    expected = config.get("revision")
    if expected and expected != base_hash(base):
        raise UserError(
            f"{path}: revision: the adapter was trained on another base than {base}; "
            "name that base or train the adapter again"
        )
    try:
        wrap_minigpt_with_lora(
            model,
            config["r"],
            config["lora_alpha"],
            config["target_modules"],
            config.get("lora_dropout") or 0.0,
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: {error}; train the adapter again") from None
    weights = folder / ADAPTER_FILE
    load_lora_state_dict(model, load_tensors(weights), str(weights))
    if all(not layer.lora_B.any() for layer in lora_layers(model).values()):
        raise UserError(f"{weights}: every lora_B is zero: the adapter was never trained")
    return model


def file_bytes(folder: Path) -> int:
    """Bytes on disk of a checkpoint's weights and, for an adapter, of its JSON too."""
    paths = [folder / name for name in (MODEL_FILE, ADAPTER_FILE, ADAPTER_CONFIG)]
    return sum(storage.reading(path).stat().st_size for path in paths if path.exists())
