"""Lab 01, parameters and bytes: its steps."""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn as nn

from minituner.budget.formula import ALL_LINEARS
from minituner.foundation import seeds
from minituner.labs.checking import Step, Work, tell
from minituner.lora import LoRALinear, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from minituner.nf4 import NF4Linear
from minituner.qlora import wrap_minigpt_qlora

FLOAT, SHAPES = 4, 20


def shapes() -> Iterator[ModelConfig]:
    """Small random shapes, the same in each check."""
    draw = seeds.generator(0, "lab 01", "shapes")
    for _ in range(SHAPES):
        heads = int(draw.integers(1, 4))
        yield ModelConfig(
            vocab="".join(map(chr, range(65, 65 + int(draw.integers(3, 40))))),
            n_layer=int(draw.integers(2, 4)),
            n_head=heads,
            d_model=4 * heads * int(draw.integers(1, 5)),
            d_ff=int(draw.integers(9, 90)),
            context=int(draw.integers(2, 40)),
        )


def adapters() -> Iterator[tuple[ModelConfig, int, tuple[str, ...]]]:
    """A rank and some targets for each shape; the MLP's first, so that they are always there."""
    draw = seeds.generator(0, "lab 01", "adapters")
    for config in shapes():
        others = draw.choice(ALL_LINEARS[:5], int(draw.integers(1, 4)), replace=False)
        yield config, int(draw.integers(1, 4)), ("fc2", *map(str, others))


def built(config: ModelConfig, method: str, rank: int, targets: tuple[str, ...]) -> MiniGPT:
    """A live model, ready to be trained."""
    model = MiniGPT(config)
    if method == "lora":
        wrap_minigpt_with_lora(model, rank, 1.0, targets)
    elif method == "qlora":
        wrap_minigpt_qlora(model, rank, 1.0, target_modules=targets)
    return model


def numbers(model: MiniGPT, trained: bool = False) -> int:
    """How many numbers a model has or, of those, trains."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)


def model(work: Work) -> None:
    """The model's numbers."""
    for config in shapes():
        d, f, layers = config.d_model, config.d_ff, config.n_layer
        right = numbers(MiniGPT(config))
        embeddings = (config.vocab_size + config.context) * d
        wrong = {
            "biases forgotten": right - layers * (f + d),
            "head counted twice": right + config.vocab_size * d,
            "positions forgotten": right - config.context * d,
            "norms forgotten": right - layers * 4 * d - 2 * d,
            "norms without bias": right - layers * 2 * d - d,
            "last norm forgotten": right - 2 * d,
            "one block only": embeddings + (right - embeddings - 2 * d) // layers + 2 * d,
        }
        tell(work.model_parameters(config), right, wrong, f"the count for {config}")


def adapter(work: Work) -> None:
    """The adapter's numbers."""
    for config, rank, targets in adapters():
        sides = {
            name: (layer.in_features, layer.out_features)
            for name, layer in MiniGPT(config).named_modules()
            if isinstance(layer, nn.Linear) and name.startswith("blocks.0.")
        }
        chosen = [sides[name] for target in targets for name in sides if name.endswith(target)]
        right = numbers(built(config, "lora", rank, targets), trained=True)
        narrow = 2 * config.d_model * rank * len(targets) * config.n_layer
        wrong = {
            "in times out": config.n_layer * sum(into * out for into, out in chosen),
            "MLP as narrow as attention": narrow,
            "A alone": config.n_layer * rank * sum(into for into, _ in chosen),
            "one block only": right // config.n_layer,
        }
        answer = work.adapter_parameters(config, rank, targets)
        tell(answer, right, wrong, f"the count of r = {rank} on {', '.join(targets)} of {config}")


def nf4(work: Work) -> None:
    """NF4's bytes, of whole blocks first and then of any number of weights."""
    draw = seeds.generator(0, "lab 01", "nf4")
    for n in (6400, 128, *map(int, draw.integers(1, 5000, SHAPES))):
        codes, blocks = math.ceil(n / 2), math.ceil(n / 64)
        layer = NF4Linear.from_linear(nn.Linear(n, 1, bias=False))
        right = sum(buffer.nbytes for buffer in layer.buffers())
        wrong = {
            "scales forgotten": codes,
            "a byte a code": n + 4 * blocks,
            "scales in 16 bits": codes + 2 * blocks,
            "last block forgotten": n // 2 + 4 * (n // 64),
        }
        tell(work.nf4_bytes(n), right, wrong, f"the bytes of {n} weights")


def in_bytes(live: MiniGPT) -> dict[str, int]:
    """The three buckets, of a live model."""
    trained = numbers(live, trained=True)
    weights = sum(tensor.nbytes for tensor in [*live.parameters(), *live.buffers()])
    return {"weights": weights, "gradients": FLOAT * trained, "optimizer": 2 * FLOAT * trained}


def buckets(work: Work) -> None:
    """The formula's three buckets against the live model's."""
    for method in ("full", "lora", "qlora"):
        for config, rank, targets in adapters():
            live = built(config, method, rank, targets)
            right = in_bytes(live)
            base = numbers(MiniGPT(config))
            added = 0 if method == "full" else numbers(live, trained=True)
            wrong = {
                "numbers and not bytes": {k: size // FLOAT for k, size in right.items()},
                "optimizer for frozen weights": right | {"optimizer": 2 * FLOAT * (base + added)},
                "gradients for frozen weights": right | {"gradients": FLOAT * (base + added)},
                "one moment": right | {"optimizer": right["optimizer"] // 2},
                "adapter's weights forgotten": right
                | {"weights": right["weights"] - FLOAT * added},
            }
            if method == "qlora":
                packed = [work.nf4_bytes(n) - FLOAT * n for n in (base, added)]
                all_of_it = FLOAT * (base + added) + packed[0]
                wrong |= {
                    "everything in 4 bits": right | {"weights": all_of_it},
                    "adapter in 4 bits": right | {"weights": right["weights"] + packed[1]},
                    "nothing in 4 bits": right | {"weights": FLOAT * (base + added)},
                }
            said = f"the answer for {method}, r = {rank} on {', '.join(targets)} of {config}"
            tell(work.bytes_by_formula(config, method, rank, targets), right, wrong, said)


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
        for _ in range(5):
            rows, into, out = (int(n) for n in draw.integers(3, 60, 3))
            rank = int(draw.integers(1, 3))
            layer: nn.Module = nn.Linear(into, out).requires_grad_(method == "full")
            if method == "lora":
                layer = LoRALinear(layer, rank)
            right = kept(layer, torch.zeros(rows, into, requires_grad=True))
            wrong: dict[str, Any] = {
                "numbers and not bytes": right // FLOAT,
                "output kept": right + FLOAT * rows * out,
            }
            if method == "frozen":
                wrong["frozen layer keeps its input"] = FLOAT * rows * into
            if method == "lora":
                wrong["A x forgotten"] = FLOAT * rows * into
            answer = work.kept_bytes(method, rows, into, out, rank)
            said = f"the answer for {method}, {rows} rows from {into} to {out}, r = {rank}"
            tell(answer, right, wrong, said)


def measured(work: Work) -> None:
    """The learner's measurement of a real step, in each way of tuning."""
    config = ModelConfig(vocab="abcdefgh", n_layer=2, n_head=2, d_model=64, d_ff=128, context=12)
    ids = torch.arange(24).view(2, 12) % config.vocab_size
    for method in ("full", "lora", "qlora"):
        live = built(config, method, 2, ("q_proj", "v_proj"))
        right = in_bytes(live) | {"activations": work.forward(live, ids, ids)[1]}
        trained = sum(p.requires_grad for p in live.parameters())
        buffers = sum(buffer.nbytes for buffer in live.buffers())
        wrong = {
            "buffers forgotten": right | {"weights": right["weights"] - buffers},
            "step counters counted": right | {"optimizer": right["optimizer"] + FLOAT * trained},
            "one moment": right | {"optimizer": right["optimizer"] // 2},
            "numbers and not bytes": {
                k: size if k == "activations" else size // FLOAT for k, size in right.items()
            },
        }
        said = f"the measurement of {method}"
        tell(work.measured_bytes(live, ids, ids), right, wrong, said)


STEPS = (
    Step("The model", "02-parameter-count.md: A model", model),
    Step("The adapter", "02-parameter-count.md: One layer", adapter),
    Step("NF4", "03-memory-footprint.md: NF4", nf4),
    Step("Three buckets", "03-memory-footprint.md: Four buckets", buckets),
    Step("The fourth bucket", "03-memory-footprint.md: Activations", activations),
    Step("Measured", "03-memory-footprint.md: What was measured", measured),
)
