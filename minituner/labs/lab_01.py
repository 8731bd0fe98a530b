"""Lab 01, parameters and bytes: its steps."""

import math
from collections.abc import Iterator

import torch.nn as nn

from minituner.foundation import seeds
from minituner.labs.checking import Case, Step, Work, tell_all
from minituner.labs.lab_01_bytes import activations, buckets, measured
from minituner.labs.lab_01_shapes import SHAPES, adapters, built, numbers, shapes, without_models
from minituner.model import MiniGPT
from minituner.nf4 import NF4Linear


def model_counts(work: Work) -> Iterator[Case]:
    """The model's numbers at each shape."""
    for config in shapes():
        d, f, layers = config.d_model, config.d_ff, config.n_layer
        right = numbers(MiniGPT(config))
        embeddings = (config.vocab_size + config.context) * d
        wrong = {
            "biases forgotten": right - layers * (f + d),
            "biases forgotten: fc1's": right - layers * f,
            "biases forgotten: fc2's, or one d of the norms": right - layers * d,
            "biases of attention": right + layers * 4 * d,
            "head counted twice": right + config.vocab_size * d,
            "positions forgotten": right - config.context * d,
            "norms forgotten": right - layers * 4 * d - 2 * d,
            "norms forgotten: the blocks'": right - layers * 4 * d,
            "norms without bias": right - layers * 2 * d - d,
            "norms without bias: the blocks'": right - layers * 2 * d,
            "norms without bias: the last one": right - d,
            "last norm forgotten": right - 2 * d,
            "one block only": embeddings + (right - embeddings - 2 * d) // layers + 2 * d,
        }
        with without_models():
            answer = work.model_parameters(config)
        yield Case(answer, right, wrong, f"the count for {config}")


def adapter_counts(work: Work) -> Iterator[Case]:
    """The adapter's numbers at each shape."""
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
        with without_models():
            answer = work.adapter_parameters(config, rank, targets)
        yield Case(
            answer, right, wrong, f"the count of r = {rank} on {', '.join(targets)} at {config}"
        )


def nf4_counts(work: Work) -> Iterator[Case]:
    """NF4's bytes, of whole blocks first and then of any number of weights, and other blocks."""
    draw = seeds.generator(0, "lab 01", "nf4")
    some = [6400, 128, *map(int, draw.integers(1, 5000, SHAPES))]
    for n, size in [(n, 64) for n in some] + [(n, size) for size in (32, 128) for n in some[:5]]:
        layer = NF4Linear.from_linear(nn.Linear(n, 1, bias=False), size)
        right = sum(buffer.nbytes for buffer in layer.buffers())
        codes, blocks = math.ceil(n / 2), math.ceil(n / size)
        wrong = {
            "scales forgotten": codes,
            "a byte a code": n + 4 * blocks,
            "scales in 16 bits": codes + 2 * blocks,
            "numbers and not bytes: absmax": codes + blocks,
            "blocksize ignored": codes + 4 * math.ceil(n / 64),
            "rounded down": n // 2 + 4 * (n // size),
            "rounded down: the blocks": codes + 4 * (n // size),
            "rounded down: the codes": n // 2 + 4 * blocks,
            "rounded down: the sum": int(n / 2 + 4 * n / size),
            "not rounded": n / 2 + 4 * n / size,
            "not rounded: the blocks": codes + 4 * n / size,
            "not rounded: the codes": n / 2 + 4 * blocks,
            "not rounded: but the sum": math.ceil(n / 2 + 4 * n / size),
        }
        answer = work.nf4_bytes(n) if size == 64 else work.nf4_bytes(n, size)
        yield Case(answer, right, wrong, f"the bytes of {n} weights in blocks of {size}")


STEPS = (
    Step("The model", "02-parameter-count.md: A model", lambda work: tell_all(model_counts(work))),
    Step(
        "The adapter",
        "02-parameter-count.md: One layer",
        lambda work: tell_all(adapter_counts(work)),
    ),
    Step("NF4", "03-memory-footprint.md: NF4", lambda work: tell_all(nf4_counts(work))),
    Step("Three buckets", "03-memory-footprint.md: Four buckets", buckets),
    Step("The fourth bucket", "03-memory-footprint.md: Activations", activations),
    Step("Measured", "03-memory-footprint.md: What was measured", measured),
)
