"""What people have in place of the files that are read: a line that says what, and how to convert.

The commands in these lines name only files whose names mean nothing to a shell.
"""

import re
from collections.abc import Collection
from pathlib import Path

import torch

from minituner.foundation.errors import UserError

PICKLE = re.compile(r"(?!training|optimizer|scheduler|scaler|rng)[\w.-]+\.(bin|pt|pth|ckpt)")
PART = re.compile(r"([\w.-]+-)\d+(-of-\d+\.safetensors)")
LOAD = {
    PART: "load = s.load_file",
    PICKLE: "import functools, torch; "
    "load = functools.partial(torch.load, map_location='cpu', weights_only=True)",
}
# What other ways of saving put before a tensor's name, and the adapter's name within it.
BEFORE, WITHIN = r"^((base_model|model|module|_orig_mod)\.)*", r"(lora_[AB])\.[^.]+\.weight$"


def check_folder(folder: Path, weights: str, config: str) -> None:
    """Refuse a folder that lacks one of two files where something else is there instead.

    Raises:
        UserError: saying what is there, and how to convert it. If nothing is, nothing is said.
    """
    if folder.is_file():
        raise UserError(f"{folder}: a file; name the folder that holds it")
    if not folder.is_dir():
        return
    below = sorted(path.parent.name for path in folder.glob(f"*/{config}"))
    if below and not (folder / config).exists():
        raise UserError(f"{folder}: no {config} here, but in {', '.join(below)}; name that")
    instead = None if (folder / weights).exists() else _instead(folder, weights)
    if instead:
        raise UserError(f"{folder}: no {weights}, but {instead}")


def _instead(folder: Path, weights: str) -> str | None:
    """What is there in place of the file of weights, and what to do about it."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    parts, pickles = (list(filter(kind.fullmatch, names)) for kind in (PART, PICKLE))
    if parts:
        joining = _joining(PART, parts[0], weights)
        return f"{len(parts)} parts of it; join them in that folder: {joining}"
    for name in names:
        if name.endswith(".safetensors"):
            return f"{name}; rename it if it is the same"
    if pickles:
        what = f"a pickle, {pickles[0]}, which could run programs"
        return f"{what}; convert it in that folder: {_joining(PICKLE, pickles[0], weights)}"
    if any(name.endswith(".index.json") for name in names):
        return "an index of parts that are not there; fetch them"
    return None


def _joining(kind: re.Pattern, name: str, weights: str) -> str:
    """The command that writes what one file, or all parts like it, hold into a file of weights."""
    pattern = re.sub(r"-\d+-of-", "-*-of-", name)
    tensors = f"{{k: v.clone() for f in glob.glob('{pattern}') for k, v in load(f).items()}}"
    return _saving(f"import glob; {LOAD[kind]}", tensors, weights)


def _saving(before: str, tensors: str, weights: str) -> str:
    """The command that writes some tensors as `save_tensors` does, to the same bytes."""
    save = f"s.save_file({tensors}, '{weights}', {{'format': 'pt'}})"
    return f'python -c "import safetensors.torch as s; {before}; {save}"'


def check_names(path: Path, names: Collection[str], expected: Collection[str]) -> None:
    """Refuse the names that saving in another way than PEFT's gives to the same tensors.

    Raises:
        UserError: with a command that renames them.
    """
    plain = {name: _plain(name) for name in {*names, *expected}}
    foreign = sorted(set(names) - set(expected))
    if not foreign or {plain[name] for name in names} != {plain[name] for name in expected}:
        return
    meant = next(name for name in expected if plain[name] == plain[foreign[0]])
    name = rf"re.sub(r'{BEFORE}', 'base_model.model.', re.sub(r'{WITHIN}', r'\1.weight', k))"
    tensors = f"{{{name}: v for k, v in s.load_file('{path.name}').items()}}"
    raise UserError(
        f"{path}: {foreign[0]}: stands for {meant}; save the adapter with PEFT's save_pretrained, "
        f"or rename its tensors in that folder: {_saving('import re', tensors, path.name)}"
    )


def _plain(name: str) -> str:
    return re.sub(BEFORE, "", re.sub(WITHIN, r"\1.weight", name))


def check_dtypes(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Refuse floats of 8 bits: they mean something only with scales that are kept elsewhere.

    Raises:
        UserError: naming a tensor that holds them.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.itemsize == 1:
            raise UserError(
                f"{path}: {name}: holds {tensor.dtype}, whose scales are kept elsewhere; "
                "save the model in bfloat16 or float32 where it was made"
            )
