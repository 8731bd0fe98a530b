"""NF4 against bitsandbytes: the same bytes, and files that Linear4bit and NF4Linear both read."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import bitsandbytes as bnb
import peft
import torch
import torch.nn as nn
from bitsandbytes import functional

from benchmarks.parity import (
    ROUNDING,
    TARGETS,
    WAYS,
    batch,
    compare,
    gradients_apart,
    minigpt,
    perturb,
    relative,
    trained_b,
)
from minituner import compute, lora, nf4, qlora
from minituner.checkpoints.bitsandbytes import state_dict_of, tensors_of
from minituner.checkpoints.models import load_tensors, save_tensors
from minituner.model import MiniGPT


def weights() -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors of every awkward kind, in three dtypes."""
    draw = compute.generator(3, "parity")

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    kinds = {
        "random": 0.02 * normal(512, 1024),
        "odd length": normal(777),
        "a single value": normal(1),
        "short last block": normal(33, 7),
        "constant": torch.full((1000,), 0.3),
        "negative constant": torch.full((128,), -0.3),
        "zero": torch.zeros(300),
        "zero blocks": torch.cat([torch.zeros(64), normal(64)]),
        "tiny": 1e-36 * normal(256),
        "huge": 1e30 * normal(256),
        "one outlier": torch.cat([normal(63), torch.tensor([1e4])]),
        "transposed": normal(64, 128).T,
        "every other column": normal(64, 128)[:, ::2],
    }
    for name, weight in kinds.items():
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            cast = weight.to(dtype)
            if torch.isfinite(cast).all():
                yield name, cast


def unequal(ours: torch.Tensor, theirs: torch.Tensor) -> int:
    """How many elements differ; all of them if shape or dtype does."""
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        return max(ours.numel(), theirs.numel())
    return int((ours != theirs).sum())


@compare("the 16 code values", "bitsandbytes", "unequal values", 0)
def code(perturbed: bool) -> float:
    """The table itself."""
    ours = nf4.code_values().clone()
    if perturbed:
        ours[3] = torch.nextafter(ours[3], torch.tensor(0.0))
    return unequal(ours, functional.get_4bit_type("nf4", device="cpu"))


def _quantized(double_quant: bool, blocksize: int = 64):
    """Each tensor by us, as the textbook says and by the compiled loops, and by bitsandbytes."""
    for _, weight in weights():
        theirs = functional.quantize_4bit(
            weight, blocksize=blocksize, quant_type="nf4", compress_statistics=double_quant
        )
        for quantize in (nf4.quantize, compute.quantize):
            packed, state = quantize(weight, blocksize, double_quant)
            if double_quant:
                state = _with_mean(weight, state, theirs[1].offset)
            yield (packed, state), theirs


def _with_mean(weight: torch.Tensor, state: nf4.QuantState, mean: torch.Tensor) -> nf4.QuantState:
    """A doubly quantized state made with their mean, whose last bit depends on the CPU."""
    absmax, nested = nf4.nearest_dynamic(nf4.quantize(weight, state.blocksize)[1].absmax - mean)
    return dataclasses.replace(state, absmax=absmax, nested_absmax=nested, offset=float(mean))


@compare("packed codes, 13 kinds of tensor, 3 dtypes", "bitsandbytes", "unequal bytes", 0)
def packed_codes(perturbed: bool) -> float:
    """Bytes of two codes each, for three blocksizes."""
    fault = int(perturbed)
    return sum(
        unequal(packed ^ fault, theirs)
        for blocksize in (32, 64, 128)
        for (packed, _), (theirs, _) in _quantized(False, blocksize)
    )


@compare("absmax", "bitsandbytes", "unequal values", 0)
def absmax(perturbed: bool) -> float:
    """One float32 a block."""
    fault = 1 + 1e-6 * perturbed
    return sum(
        unequal(state.absmax * fault, their.absmax) for (_, state), (_, their) in _quantized(False)
    )


@compare("double quantization: 8-bit absmax", "bitsandbytes", "unequal bytes", 0)
def double_absmax(perturbed: bool) -> float:
    """One byte a block."""
    fault = int(perturbed)
    return sum(
        unequal(state.absmax ^ fault, their.absmax) for (_, state), (_, their) in _quantized(True)
    )


@compare("double quantization: the mean", "bitsandbytes", "relative", ROUNDING)
def double_mean(perturbed: bool) -> float:
    """Which is here the exact one, rounded once, and there a sum in the CPU's order."""
    worst = 0.0
    for _, weight in weights():
        _, their = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
        ours = nf4.quantize(weight, their.blocksize, True)[1].offset * (1 + 1e-3 * perturbed)
        worst = max(worst, abs(ours / float(their.offset) - 1) if their.offset else abs(ours))
    return worst


@compare("double quantization: map and scales", "bitsandbytes", "unequal values", 0)
def double_state(perturbed: bool) -> float:
    """The 256 values, and one float32 a 256 blocks, for the same mean."""
    fault = 1 + 1e-6 * perturbed
    return sum(
        unequal(nf4.dynamic_map(), their.state2.code)
        + unequal(state.nested_absmax * fault, their.state2.absmax)
        for (_, state), (_, their) in _quantized(True)
    )


@compare("dequantized weights", "bitsandbytes", "unequal values", 0)
def dequantized(perturbed: bool) -> float:
    """Rows of whole blocks, or odd: on others bitsandbytes 0.50's CPU kernel mixes up scales."""
    total = 0
    for (packed, state), (theirs, their_state) in [*_quantized(False), *_quantized(True)]:
        if state.shape[-1] % state.blocksize == 0 or state.shape[-1] % 2:
            weight = functional.dequantize_4bit(theirs, their_state)
            for dequantize in (nf4.dequantize, compute.dequantize):
                ours = dequantize(packed ^ int(perturbed), state)
                total += unequal(ours.flatten(), weight.flatten())
    return total


def nf4_minigpt(double_quant: bool) -> MiniGPT:
    """MiniGPT with its blocks' Linears in our NF4."""
    model = minigpt()
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return qlora.replace_linears(model, names, double_quant=double_quant)


def linear4bit_minigpt(double_quant: bool, state: dict[str, torch.Tensor] | None) -> nn.Module:
    """MiniGPT with bitsandbytes' Linear4bit, from our state dict or quantized by itself."""
    return in_linear4bit(minigpt(), double_quant, state)


def in_linear4bit(
    model: nn.Module, double_quant: bool, state: dict[str, torch.Tensor] | None = None
) -> nn.Module:
    """A model with each Linear replaced, in place, by Linear4bit as above."""
    for name, linear in list(model.named_modules()):
        if not isinstance(linear, nn.Linear):
            continue
        layer = bnb.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            compute_dtype=torch.float32,
            compress_statistics=double_quant,
            quant_type="nf4",
        )
        if state is None:
            layer.load_state_dict(linear.state_dict())
            layer = layer.to("cpu")
        else:
            stats = {k: v for k, v in state.items() if k.startswith(f"{name}.weight.")}
            layer.weight = bnb.nn.Params4bit.from_prequantized(
                state[f"{name}.weight"], stats, device="cpu", module=layer
            )
            if layer.bias is not None:
                layer.bias = nn.Parameter(state[f"{name}.bias"])
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)
    return model


for _double in (False, True):
    _how = "double" if _double else "single"

    @compare(f"logits of our NF4 file in Linear4bit, {_how}", "bitsandbytes", "relative", ROUNDING)
    def ours_in_linear4bit(perturbed: bool, double_quant: bool = _double) -> float:
        """Tensors that we wrote to a file, read into Linear4bit."""
        ours = nf4_minigpt(double_quant)
        with tempfile.TemporaryDirectory() as folder:
            save_tensors(Path(folder) / "m.safetensors", tensors_of(ours))
            state = load_tensors(Path(folder) / "m.safetensors")
        theirs = linear4bit_minigpt(double_quant, state)
        if perturbed:
            ours.blocks[0].mlp.fc1.absmax.copy_(ours.blocks[0].mlp.fc1.absmax + 1)
        ids, _ = batch()
        return relative(compute.accelerate(ours)(ids), theirs(ids))

    @compare(f"logits of Linear4bit's state in ours, {_how}", "bitsandbytes", "relative", ROUNDING)
    def linear4bit_in_ours(perturbed: bool, double_quant: bool = _double) -> float:
        """A state that Linear4bit quantized and wrote, read into NF4Linear."""
        theirs = linear4bit_minigpt(double_quant, None)
        ours = nf4_minigpt(double_quant)
        with torch.no_grad():
            for module in ours.modules():
                if isinstance(module, nf4.NF4Linear):
                    module.weight.zero_()
        state = dict(theirs.state_dict())
        if perturbed:
            state["blocks.0.mlp.fc1.weight"] = state["blocks.0.mlp.fc1.weight"] ^ 1
        ours.load_state_dict(state_dict_of(state, ours))
        ids, _ = batch()
        return relative(compute.accelerate(ours)(ids), theirs(ids))


for _way, _by in WAYS.items():

    @compare(f"QLoRA: {_way}gradients of A and B", "peft + bitsandbytes", "relative", ROUNDING)
    def qlora_gradients(perturbed: bool, by: Callable = _by) -> float:
        """PEFT on Linear4bit against LoRALinear on NF4Linear."""
        targets = TARGETS["all Linears"]
        ours = nf4_minigpt(False)
        theirs = linear4bit_minigpt(False, tensors_of(ours))
        theirs.is_loaded_in_4bit = True
        draw = compute.generator(2, "parity")
        lora.wrap_minigpt_with_lora(ours, 8, 16.0, targets, generator=draw)
        trained_b(ours)
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=targets)
        theirs = peft.get_peft_model(theirs, config)
        peft.set_peft_model_state_dict(theirs, lora.lora_state_dict(ours))
        if perturbed:
            perturb(ours)
        return gradients_apart(by(ours.train()), theirs.train())
