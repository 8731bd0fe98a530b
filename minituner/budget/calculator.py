"""Parameters and bytes of tuning any transformer: `minituner counts --shape`."""

import dataclasses
from pathlib import Path
from typing import Any

from minituner.budget import formula, huggingface, shapes
from minituner.budget.formula import Regime
from minituner.budget.shapes import Shape
from minituner.foundation.errors import UserError
from minituner.lora import PEFT_PREFIX
from minituner.nf4 import BLOCKSIZES


def adapter_tensors(shape: Shape, rank: int, targets: tuple[str, ...]) -> dict[str, tuple]:
    """Name → shape of each tensor of an adapter file, as `lora_state_dict` names them."""
    tensors = {}
    for layer in range(shape.n_layer):
        for target in targets:
            out, into = shape.linears()[target]
            place = "attn" if target in (*formula.ATTENTION, "qkv_proj") else "mlp"
            stem = f"{PEFT_PREFIX}blocks.{layer}.{place}.{target}"
            tensors[f"{stem}.lora_A.weight"] = (rank, into)
            tensors[f"{stem}.lora_B.weight"] = (out, rank)
    return tensors


def bits_a_parameter(blocksize: int, double_quant: bool) -> float:
    """Bits that NF4 takes for a weight, its share of absmax included, in a large matrix.

    4 + 32/64 = 4.5; with double quantization 4 + 8/64 + 32/(64·256) = 4.127 (Dettmers et al. 2023,
    section 3, "Double Quantization").
    """
    n = blocksize * 256
    return 8 * formula.nf4_bytes(n, blocksize, double_quant) / n


def shape_of(name: str) -> Shape:
    """A shape by what `--shape` gives: a preset, sizes, or the path of a `config.json`.

    Raises:
        UserError: see `shapes.parse` and `huggingface.read`.
    """
    return huggingface.read(Path(name)) if huggingface.is_path(name) else shapes.parse(name)


def chosen_targets(shape: Shape, text: str) -> tuple[str, ...]:
    """The Linears that `all` or a list such as `q_proj,v_proj` names.

    Raises:
        UserError: for a name that the shape's blocks do not have.
    """
    known = tuple(shape.linears())
    if text == "all":
        return known
    named = text.split(",")
    for target in named:
        if target not in known:
            raise UserError(f"--targets: {target!r} is no Linear; use all or {','.join(known)}")
    return tuple(target for target in known if target in named)


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of a shape.

    Attributes:
        name: as `shape_of` reads it.
        rank: of the adapter.
        targets: see `chosen_targets`.
        blocksize: of NF4.
        double_quant: of NF4.
        each: bytes of a weight that is not quantized, of a gradient and in the adapter's file.
        B: sequences of a step; 0 leaves activations out.
        T: symbols of a sequence.
    """

    name: str
    rank: int = 8
    targets: str = "all"
    blocksize: int = 64
    double_quant: bool = False
    each: int = 2
    B: int = 0
    T: int = 512


def rows(question: Question) -> list[dict[str, Any]]:
    """Full fine-tuning, LoRA and QLoRA of a shape, a row each; see `formula.count`.

    Raises:
        UserError: for an unknown shape, target or blocksize, or a rank that does not fit.
    """
    shape, rank = shape_of(question.name), question.rank
    if question.blocksize not in BLOCKSIZES:
        raise UserError(f"--blocksize: {question.blocksize}: use one of {BLOCKSIZES}")
    if question.B and not shape.usual:
        raise UserError(
            "--batch: the activations of such blocks have no formula here; leave it out"
        )
    chosen = chosen_targets(shape, question.targets)
    smallest = min(min(shape.linears()[target]) for target in chosen)
    if rank > smallest:
        raise UserError(f"--rank: {rank} is above {smallest}, the smaller side of a target")
    adapter = formula.safetensors_bytes(adapter_tensors(shape, rank, chosen), question.each)
    regimes = {
        Regime("full"): None,
        Regime("lora", rank, chosen): adapter,
        Regime("qlora", rank, chosen, question.blocksize, question.double_quant): adapter,
    }
    symbols = question.B * question.T
    return [
        formula.count(shape, regime, symbols, question.each) | {"adapter_bytes": file_bytes}
        for regime, file_bytes in regimes.items()
    ]


def presets() -> str:
    """The known shapes and their parameters, a line each."""
    width = max(map(len, shapes.PRESETS))
    rows = [(name, shape.total_parameters()) for name, shape in shapes.PRESETS.items()]
    return "".join(f"{name:{width}} {total:>17,}\n" for name, total in rows)
