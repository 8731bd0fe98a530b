"""The fields of PEFT's `adapter_config.json`: what is read, what changes nothing, what is refused.

The table was made from the LoraConfig of PEFT 0.21.2. A field that it does not list is refused when
it is set, since a newer PEFT may compute something else with it.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch.nn as nn

from minituner import lora
from minituner.foundation.errors import UserError


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(entry) is kind for entry in value)


class Kind(NamedTuple):
    """What a field that is read may hold, as a test and in words."""

    holds: Callable[[Any], bool]
    words: str


INTEGER = Kind(lambda value: type(value) is int, "an integer")
NUMBER = Kind(lambda value: type(value) in (int, float), "a number")
SWITCH = Kind(lambda value: type(value) is bool, "true or false")
TEXT = Kind(lambda value: isinstance(value, str), "text")
LAYERS = Kind(lambda value: type(value) is int or _is_list(value, int), "a list of integers")
NAMES = Kind(lambda value: isinstance(value, str) or _is_list(value, str), "a list of names")
METHOD = Kind(lambda value: value == "LORA", "LORA, the only method that is read")


class Field(NamedTuple):
    """A field of the file.

    Attributes:
        does: what it does when it is set.
        harmless: values at which it does nothing, beside null, false and empty; None stands for
            any value.
        kind: of what is read; None for what is not.
        remedy: what to do where it is refused.
    """

    does: str
    harmless: tuple | None = ()
    kind: Kind | None = None
    remedy: str = "train the adapter without it"


def _read(kind: Kind) -> Field:
    return Field("is read", None, kind)


ORIGIN = Field("says where the adapter comes from", None)
TRAINING = Field("says how it was trained", None)
UNKNOWN = Field(
    "is set, and what it does is not known here",
    remedy="train the adapter without it, or delete the field if it changes no output",
)
FIELDS = {
    "alora_invocation_tokens": Field("lets the adapter act only from these tokens on"),
    "alpha_pattern": Field("gives some layers an alpha of their own"),
    "arrow_config": Field("mixes several adapters by routing"),
    "auto_mapping": ORIGIN,
    "base_model_name_or_path": ORIGIN,
    "bias": Field("trains biases of the base", ("none",)),
    "corda_config": TRAINING,
    "ensure_weight_tying": Field("ties modules that are no Linears, which are refused", None),
    "eva_config": TRAINING,
    "exclude_modules": _read(NAMES),
    "fan_in_fan_out": Field("takes the weights for transposed"),
    "inference_mode": TRAINING,
    "init_lora_weights": Field(
        "may change the base's own weights before training",
        (True, "gaussian", "orthogonal", "mica", "eva"),
        remedy="save it with PEFT's path_initial_model_for_weight_conversion, which makes plain "
        "LoRA of it, or train with init_lora_weights=True",
    ),
    "kasa_config": Field("cuts singular values off the base's weights and scales A B's"),
    "layer_replication": Field("repeats layers of the base"),
    "layers_pattern": _read(NAMES),
    "layers_to_transform": _read(LAYERS),
    "loftq_config": TRAINING,
    "lora_alpha": _read(NUMBER),
    "lora_bias": Field("adds a bias to B"),
    "lora_dropout": _read(NUMBER),
    "lora_ga_config": TRAINING,
    "megatron_config": Field("splits layers over several processes"),
    "megatron_core": TRAINING,
    "modules_to_save": Field("replaces whole modules of the base"),
    "monteclora_config": Field("adds weights drawn around A and B"),
    "peft_type": _read(METHOD),
    "peft_version": ORIGIN,
    "qalora_group_size": TRAINING,
    "r": _read(INTEGER),
    "rank_pattern": Field("gives some layers a rank of their own"),
    "revision": _read(TEXT),
    "runtime_config": TRAINING,
    "target_modules": _read(NAMES),
    "target_parameters": Field("adapts parameters that are no Linear's weight"),
    "task_type": ORIGIN,
    "trainable_token_indices": Field("replaces the embeddings of some tokens"),
    "use_bdlora": Field("makes A or B block-diagonal"),
    "use_dora": Field("trains the magnitude of the weights apart from their direction"),
    "use_qalora": Field("pools the inputs of A"),
    "use_rslora": _read(SWITCH),
    "velora_config": Field("puts tensors for a backward pass of its own into the file"),
}
NEEDED = ("peft_type", "r", "lora_alpha", "target_modules")


def check(config: Any, path: Path) -> None:
    """Refuse what asks for more than plain LoRA, or is not of its field's kind.

    Raises:
        UserError: naming the field, and what it does.
    """
    for name in NEEDED:
        if not isinstance(config, dict) or config.get(name) is None:
            raise UserError(f"{path}: {name}: missing; name a folder that holds an adapter")
        _check_field(name, config[name], path)
    for name, value in config.items():
        if not (value is None or value is False or value in ({}, [], "")):
            _check_field(name, value, path)


def _check_field(name: str, value: Any, path: Path) -> None:
    field = FIELDS.get(name, UNKNOWN)
    if field.kind and not field.kind.holds(value):
        problem = f"{value!r:.60} is not {field.kind.words}"
        raise UserError(f"{path}: {name}: {problem}; train the adapter again")
    if field.harmless is not None and value not in field.harmless:
        problem = f"{value!r:.60} {field.does}"
        raise UserError(f"{path}: {name:.60}: {problem}; {field.remedy}")


def alpha_of(config: dict[str, Any]) -> float:
    """The numerator of the scaling α/r.

    Rank-stabilized LoRA scales by α/√r (Kalajdzievski 2023, arXiv:2312.03732), which is (α √r)/r.
    """
    return config["lora_alpha"] * (math.sqrt(config["r"]) if config.get("use_rslora") else 1)


def adapted_linears(config: dict[str, Any], model: nn.Module, path: Path) -> list[str]:
    """Names of the Linears that an adapter belongs to, chosen as PEFT chooses them.

    Raises:
        UserError: if there is none, or if patterns cannot be read or do not go together.
    """
    targets, excluded = config["target_modules"], config.get("exclude_modules") or []
    layers, patterns = config.get("layers_to_transform"), config.get("layers_pattern") or []
    layers = [layers] if isinstance(layers, int) else layers or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if patterns and not layers:
        raise UserError(f"{path}: layers_pattern: has no layers_to_transform; add that or drop it")
    if layers and isinstance(targets, str):
        raise UserError(f"{path}: layers_to_transform: needs names in target_modules; list them")
    check_pattern(targets)
    check_pattern(excluded, "exclude_modules")
    names = lora.linears(model)
    left_out = lora.selected(names, excluded)
    chosen = [name for name in lora.selected(names, targets) if name not in left_out]
    if layers:
        numbers = layer_numbers(patterns)
        chosen = [name for name in chosen if layer_of(name, numbers) in layers]
    if not chosen:
        raise UserError(
            f"{path}: target_modules: {targets!r:.60} leaves no Linear of the base, after "
            "exclude_modules and layers_to_transform; name the base that the adapter was trained on"
        )
    return chosen


def layer_numbers(patterns: list[str]) -> list[re.Pattern]:
    """What finds a layer's number in a name: behind a pattern, or else behind any two parts."""
    for pattern in patterns:
        check_pattern(pattern, "layers_pattern")
    before = [rf"(?:^|.*?\.){pattern}" for pattern in patterns] or [r".*?\.[^.]*"]
    try:
        return [re.compile(rf"{start}\.(?P<number>\d+)\.") for start in before]
    except re.error as error:
        raise UserError(f"layers_pattern: no regex ({error}); name a list of modules") from None


def layer_of(name: str, numbers: list[re.Pattern]) -> int | None:
    """The layer that a Linear is in, by the first pattern that finds one; None without any."""
    found = (number.match(name) for number in numbers)
    return next((int(match["number"]) for match in found if match), None)


def check_pattern(pattern: Any, field: str = "target_modules") -> None:
    """Refuse a regular expression of somebody's file that is none, or that may never end.

    Raises:
        UserError: if it cannot be read, or repetitions in it are many or nested.
    """
    if not isinstance(pattern, str):
        return
    if len(re.findall(r"[*+{]", pattern)) > 8 or re.search(r"\)[*+{]", pattern):
        raise UserError(f"{field}: {pattern!r:.60} may take for ever to match; list the names")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"{field}: {pattern!r:.60} is no regex ({error}); list the names") from None
