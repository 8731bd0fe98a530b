"""Lab 01's last steps: bytes by formula and measured."""

import math

import torch
import torch.nn as nn

from minituner.foundation import seeds
from minituner.labs.checking import Case, Work, Wrong, tell_all
from minituner.labs.lab_01_shapes import adapters, built, numbers, without_models
from minituner.lora import LoRALinear
from minituner.model import MiniGPT, ModelConfig

FLOAT = 4


def in_bytes(live: MiniGPT) -> dict[str, int]:
    """The three buckets, of a live model."""
    trained = numbers(live, trained=True)
    weights = sum(tensor.nbytes for tensor in [*live.parameters(), *live.buffers()])
    return {"weights": weights, "gradients": FLOAT * trained, "optimizer": 2 * FLOAT * trained}


def in_buckets(answer: object, right: dict[str, int], what: str) -> None:
    """Refuse an answer that has not the right one's buckets.

    Raises:
        Wrong: saying what it is.
    """
    if not isinstance(answer, dict) or answer.keys() != right.keys():
        raise Wrong("", f"{what} is {answer!r:.80}, not a dict with the keys {', '.join(right)}")


def misjudged(work: Work, live: MiniGPT, base: int, method: str) -> dict[str, dict[str, int]]:
    """What typical mistakes give for each bucket of a live model: bucket → name → bytes.

    Args:
        work: the learner's, for their own bytes in NF4.
        live: the model.
        base: how many numbers it had before it got an adapter.
        method: `full`, `lora` or `qlora`.
    """
    right, trained = in_bytes(live), numbers(live, trained=True)
    added = 0 if method == "full" else trained
    weights = {
        "numbers and not bytes: the weights": right["weights"] // FLOAT,
        "adapter's weights forgotten": right["weights"] - FLOAT * added,
    }
    if method == "qlora":
        sizes = [
            [
                math.prod(part.quant_state.shape)
                for part in block.modules()
                if hasattr(part, "absmax")
            ]
            for block in live.blocks
        ]
        floats = right["weights"] - sum(work.nf4_bytes(n) for block in sizes for n in block)
        weights |= {
            "everything in 4 bits": work.nf4_bytes(base) + FLOAT * added,
            "everything in 4 bits: the adapter as well": work.nf4_bytes(base + added),
            "adapter in 4 bits": right["weights"] + work.nf4_bytes(added) - FLOAT * added,
            "nothing in 4 bits": FLOAT * (base + added),
            "Linears quantized as one": floats + work.nf4_bytes(sum(map(sum, sizes))),
            "Linears quantized as one: those of a block": floats
            + sum(work.nf4_bytes(sum(block)) for block in sizes),
        }
    gradients = {
        "numbers and not bytes: the gradients": trained,
        "gradients for frozen weights": FLOAT * (base + added),
        "gradients for frozen weights: the base's": FLOAT * base,
    }
    optimizer = {
        "numbers and not bytes: the moments": 2 * trained,
        "optimizer for frozen weights": 2 * FLOAT * (base + added),
        "optimizer for frozen weights: the base's": 2 * FLOAT * base,
        "one moment": FLOAT * trained,
    }
    return {"weights": weights, "gradients": gradients, "optimizer": optimizer}


def buckets(work: Work) -> None:
    """The formula's three buckets against the live model's, one bucket after the other."""
    for method in ("full", "lora", "qlora"):
        cases: dict[str, list[Case]] = {}
        for config, rank, targets in adapters():
            said = f"for {method}, r = {rank} on {', '.join(targets)} at {config}"
            with without_models():
                answer = work.bytes_by_formula(config, method, rank, targets)
            live = built(config, method, rank, targets)
            right = in_bytes(live)
            in_buckets(answer, right, f"the answer {said}")
            wrong = misjudged(work, live, numbers(MiniGPT(config)), method)
            for bucket, mistakes in wrong.items():
                case = Case(answer[bucket], right[bucket], mistakes, f"`{bucket}` {said}")
                cases.setdefault(bucket, []).append(case)
        for one in cases.values():
            tell_all(one)


def kept(layer: nn.Module, x: torch.Tensor) -> int:
    """Bytes that autograd keeps while a layer computes, each storage once, the weights left out."""
    held = {parameter.data_ptr() for parameter in layer.parameters()}
    found: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _output = layer(x)  # its graph keeps what was saved, so that no place is used twice
    return sum(size for place, size in found.items() if place not in held)


def activations(work: Work) -> None:
    """What one Linear keeps, against autograd."""
    draw = seeds.generator(0, "lab 01", "activations")
    for method in ("full", "frozen", "lora"):
        cases = []
        for _ in range(5):
            rows, into, out = (int(n) for n in draw.integers(3, 60, 3))
            rank = int(draw.integers(1, 3))
            layer: nn.Module = nn.Linear(into, out).requires_grad_(method == "full")
            if method == "lora":
                layer = LoRALinear(layer, rank)
            right = kept(layer, torch.zeros(rows, into, requires_grad=True))
            wrong = {
                "numbers and not bytes": right // FLOAT,
                "output kept": right + FLOAT * rows * out,
                "weight counted": right + FLOAT * into * out,
            }
            if method == "frozen":
                wrong["frozen layer keeps its input"] = FLOAT * rows * into
            if method == "lora":
                wrong["A x forgotten"] = FLOAT * rows * into
                wrong["x forgotten"] = FLOAT * rows * rank
            if method == "full":
                wrong["x forgotten"] = 0
                wrong["output kept: and not the input"] = FLOAT * rows * out
            answer = work.kept_bytes(method, rows, into, out, rank)
            said = f"the answer for {method}, {rows} rows from {into} to {out}, r = {rank}"
            cases.append(Case(answer, right, wrong, said))
        tell_all(cases)


def measured(work: Work) -> None:
    """The learner's measurement of a real step, in each way of tuning."""
    config = ModelConfig(vocab="abcdefgh", n_layer=2, n_head=2, d_model=64, d_ff=128, context=12)
    ids = torch.arange(24).view(2, 12) % config.vocab_size
    cases: dict[str, list[Case]] = {}
    for method in ("full", "lora", "qlora"):
        live = built(config, method, 2, ("q_proj", "v_proj"))
        tensors, base = [*live.parameters(), *live.buffers()], numbers(live)
        # Activations were measured by another call: they need not be equal to the byte.
        right = in_bytes(live) | {"activations": float(work.forward(live, ids, ids)[1])}
        trained = sum(p.requires_grad for p in live.parameters())
        wrong = {
            "weights": {
                "buffers forgotten": FLOAT * base,
                "numbers and not bytes: the weights": sum(t.numel() for t in tensors),
                "numbers and not bytes: the weights, without buffers": base,
            },
            "gradients": {
                "numbers and not bytes: the gradients": right["gradients"] // FLOAT,
                "gradients for frozen weights": FLOAT * base,
            },
            "optimizer": {
                "step counters counted": right["optimizer"] + FLOAT * trained,
                "one moment": right["optimizer"] // 2,
                "numbers and not bytes: the moments": right["optimizer"] // FLOAT,
                "optimizer for frozen weights": 2 * FLOAT * base,
            },
            "activations": {},
        }
        answer, said = work.measured_bytes(live, ids, ids), f"the measurement of {method}"
        in_buckets(answer, right, said)
        for bucket, mistakes in wrong.items():
            case = Case(answer[bucket], right[bucket], mistakes, f"`{bucket}` in {said}")
            cases.setdefault(bucket, []).append(case)
    for one in cases.values():
        tell_all(one)
