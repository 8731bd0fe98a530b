"""Adapters on disk, in PEFT's format: safetensors beside a JSON."""

import hashlib
import itertools
import re
from pathlib import Path
from typing import Any

from minituner import compute, qlora
from minituner.checkpoints import bitsandbytes, foreign, peft_fields, runs
from minituner.checkpoints.models import file_content, load_model, load_tensors, save_tensors
from minituner.checkpoints.names import ADAPTER_CONFIG, ADAPTER_FILE, base_hash
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.lora import (
    load_lora_state_dict,
    lora_layers,
    lora_state_dict,
    wrap_minigpt_with_lora,
)
from minituner.model import MiniGPT
from minituner.nf4 import BLOCKSIZES

SHA256 = re.compile("[0-9a-f]{64}")


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
    foreign.check_folder(folder, ADAPTER_FILE, ADAPTER_CONFIG)
    path = folder / ADAPTER_CONFIG
    config = storage.read_json(path)
    peft_fields.check(config, path)
    revision = config.get("revision")
    if revision and not SHA256.fullmatch(revision):
        raise UserError(
            f"{path}: revision: {revision!r:.60} is a hub's name for a version, and no SHA-256 of "
            "the base's model.safetensors; write null if the adapter was trained on this base"
        )
    return config


def load_adapter(folder: Path, model: MiniGPT, base: Path) -> MiniGPT:
    """Wrap `model`, read from `base`, and load the adapter in `folder` onto it.

    Raises:
        UserError: if the adapter is broken, untrained or made for another base.
    """
    config = read_adapter_config(folder)
    if config.get("revision") not in (None, "", base_hash(base)):
        raise UserError(
            f"{folder / ADAPTER_CONFIG}: revision: the adapter was trained on another base than "
            f"{base}; name that base or train the adapter again"
        )
    return put_on(model, folder, config)


def nf4_base_of(revision: str, base: Path) -> MiniGPT | None:
    """The NF4 form of the float model in `base` whose file has this hash; None if none has.

    An adapter trained on 4 bits names their file, so each form is made again, and its file hashed.
    """
    for double_quant, blocksize in itertools.product((False, True), BLOCKSIZES):
        model = load_model(base)
        names = qlora.block_linears(model)
        qlora.replace_linears(model, names, "nf4", blocksize, double_quant, compute.quantize)
        content = file_content(bitsandbytes.tensors_of(model))
        if hashlib.sha256(content).hexdigest() == revision:
            return model
    return None


def put_on(model: MiniGPT, folder: Path, config: dict[str, Any]) -> MiniGPT:
    """Wrap `model` and load the adapter in `folder`, whose JSON is `config`, whatever its base.

    Raises:
        UserError: if the adapter is broken or untrained, or does not fit the model.
    """
    path, weights = folder / ADAPTER_CONFIG, folder / ADAPTER_FILE
    targets, dropout = peft_fields.adapted_linears(config, model, path), config.get("lora_dropout")
    try:
        alpha = peft_fields.alpha_of(config)
        wrap_minigpt_with_lora(model, config["r"], alpha, targets, dropout or 0.0)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: {error}; train the adapter again") from None
    tensors = load_tensors(weights)
    foreign.check_names(weights, tensors, lora_state_dict(model))
    load_lora_state_dict(model, tensors, str(weights))
    if all(not layer.lora_B.any() for layer in lora_layers(model).values()):
        raise UserError(f"{weights}: every lora_B is zero: the adapter was never trained")
    return model


def load_on_base(base: Path, adapter: Path | None = None) -> MiniGPT:
    """The model in `base`, with `adapter` on top if given, ready to be asked.

    Raises:
        UserError: if it has not been made, or its files do not fit one another.
    """
    for folder in filter(None, (base, adapter)):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; make it with `snakemake all`")
    model = load_model(base)
    if adapter:
        load_adapter(adapter, model, base)
    return model.eval()


def load_run(run: str, results: Path) -> MiniGPT:
    """The model of a run, by its name.

    Raises:
        UserError: if it is no run's name, and see `load_on_base`.
    """
    runs.parse_run(run)
    adapter = runs.adapter_folder(run, str(results))
    return load_on_base(Path(runs.base_folder(run, str(results))), adapter and Path(adapter))
