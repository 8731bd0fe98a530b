"""Adapters on disk, in PEFT's format: safetensors beside a JSON."""

import re
from pathlib import Path
from typing import Any

from minituner.checkpoints import runs
from minituner.checkpoints.models import load_model, load_tensors, save_tensors
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
    check_pattern(config["target_modules"])
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


def check_pattern(target_modules: Any) -> None:
    """Refuse a regular expression of somebody's file that may never end.

    Raises:
        UserError: if repetitions in it are many or nested.
    """
    if not isinstance(target_modules, str):
        return
    if len(re.findall(r"[*+{]", target_modules)) > 8 or re.search(r"\)[*+{]", target_modules):
        raise UserError(
            f"target_modules: {target_modules!r:.60} may take for ever to match; list the names"
        )


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
