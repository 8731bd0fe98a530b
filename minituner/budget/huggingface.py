"""The shape of a model of the Hugging Face hub, from its `config.json`.

What a family of models shares and its file does not say is written here, as `transformers` has it.
"""

from pathlib import Path
from typing import Any

from minituner.budget.shapes import PRESETS, Shape
from minituner.foundation import storage
from minituner.foundation.errors import UserError

SIZES = {
    "n_layer": "num_hidden_layers",
    "d_model": "hidden_size",
    "n_head": "num_attention_heads",
    "d_ff": "intermediate_size",
    "vocab_size": "vocab_size",
    "n_kv_head": "num_key_value_heads",
    "head_dim": "head_dim",
}
GPT2_SIZES = {
    "n_layer": "n_layer",
    "d_model": "n_embd",
    "n_head": "n_head",
    "d_ff": "n_inner",
    "vocab_size": "vocab_size",
    "positions": "n_positions",
}
MAY_BE_NULL = ("num_key_value_heads", "head_dim", "n_inner")  # which then follow from the others
BIASED = {"attention_bias": True, "output_bias": True, "mlp_bias": True}
RMS = {"norm": "rms", "gated_mlp": True}
GEMMA = RMS | {"tied": True, "head_dim": 256}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": RMS | {"tied": False, "n_kv_head": None},
    "mistral": RMS | {"tied": False},
    "qwen2": RMS | {"tied": False, "attention_bias": True},
    "qwen3": RMS | {"tied": False, "head_dim": 128, "qk_norm": True},
    "gemma": GEMMA,
    "gemma2": GEMMA | {"norms": 4},
    "gemma3_text": GEMMA | {"norms": 4, "qk_norm": True},
    "gpt2": BIASED | {"tied": True, "d_ff": None, "fused_qkv": True},
    "phi": BIASED | {"tied": False, "n_kv_head": None, "norms": 1, "head_bias": True},
    "phi3": RMS | {"tied": False, "n_kv_head": None, "fused_qkv": True, "fused_mlp": True},
}
# What some families leave to the file, beside their sizes: a field of the file → those of a Shape.
SWITCHES = {
    "attention_bias": ("attention_bias", "output_bias"),
    "mlp_bias": ("mlp_bias",),
    "tie_word_embeddings": ("tied",),
}
WITHOUT_BIAS_SWITCH = {"mistral", "qwen2", "gpt2", "phi", "phi3"}
NOT_COUNTED = ("add_cross_attention", "qk_layernorm", "vision_config", "audio_config")


def is_path(name: str) -> bool:
    """Whether what `--shape` gives is a file or a folder, and no preset or list of sizes."""
    return name not in PRESETS and (name.endswith(".json") or "/" in name or Path(name).is_dir())


def read(path: Path) -> Shape:
    """The shape in a `config.json`, or in the folder that holds one.

    Raises:
        UserError: for a family that is not known, a mixture of experts, or a missing or wrong size.
    """
    path = path / "config.json" if path.is_dir() else path
    config = storage.read_json(path)
    family = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(family, str):
        raise UserError(f"{path}: model_type: missing; name a Hugging Face model's config.json")
    _refuse_experts(path, config, family)
    if family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UserError(
            f"{path}: model_type: {family!r:.60} is not among {known}; give its sizes as "
            "--shape n_layer=…,d_model=…"
        )
    for name in NOT_COUNTED:
        if config.get(name):
            raise UserError(f"{path}: {name}: has weights that are not counted; leave them out")
    sizes = dict(FAMILIES[family])
    for field, name in (GPT2_SIZES if family == "gpt2" else SIZES).items():
        if name in config:
            sizes[field] = config[name]
        elif field not in sizes and field != "head_dim":
            raise UserError(f"{path}: {name}: missing; add it to the file")
        value = sizes.get(field)
        if not (value is None and name in MAY_BE_NULL or type(value) is int and value > 0):
            raise UserError(f"{path}: {name}: {value!r:.60} is no integer ≥ 1; mend the file")
    for name, fields in SWITCHES.items():
        if name not in config or (name != "tie_word_embeddings" and family in WITHOUT_BIAS_SWITCH):
            continue
        if type(config[name]) is not bool:
            raise UserError(f"{path}: {name}: {config[name]!r:.60} is not true or false")
        sizes |= dict.fromkeys(fields, config[name])
    sizes["d_ff"] = sizes["d_ff"] or 4 * sizes["d_model"]
    try:
        return Shape(**sizes)
    except (UserError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None


def _refuse_experts(path: Path, config: dict[str, Any], family: str) -> None:
    """Refuse a model of whose weights a symbol meets only some.

    Raises:
        UserError: naming the family, and the field that says how many experts there are.
    """
    problem = f"{family:.60} is a mixture of experts; only dense models are counted"
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name, value in part.items():
            if "expert" in name and type(value) is int and value > 1:
                raise UserError(f"{path}: {name}: {value}: {problem}")
    if "moe" in family.lower():
        raise UserError(f"{path}: model_type: {problem}")
