"""Our side of each row, and the batches of both: a function sets up what one repetition calls."""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn as nn

from minituner import compute, data, evaluate, lora, qlora, train
from minituner.checkpoints.models import read_config
from minituner.corpus import subsets
from minituner.foundation import environment, parquet, seeds
from minituner.model import IGNORE, MiniGPT, ModelConfig

Work = Callable[[], object]
THREADS = 1  # that a side may use
BASE, IRREGULAR = Path("results/base"), Path("data/irregular.parquet")
CONTROL, CORPUS = Path("data/control.parquet"), Path("data/corpus.parquet")
TARGETS = {"q, v": ["q_proj", "v_proj"], "all Linears": ["q_proj", "k_proj", "v_proj", "o_proj"]}
TARGETS["all Linears"] += ["fc1", "fc2"]
WIDTH = 48  # symbols of a batch's rows
SCORED = 100  # sentences of the evaluation


def sentences(n: int) -> list[dict]:
    """The first n training rows of the irregular-verb subset."""
    rows = parquet.read_table(IRREGULAR, ["text", "prompt", "form", "split"]).to_pylist()
    return [row for row in rows if row["split"] == "train"][:n]


def minigpt(d_model: int = 64, n_layer: int = 4) -> MiniGPT:
    """A MiniGPT of that width that knows the base's symbols, the same at each call."""
    vocab = read_config(BASE)[0].vocab
    heads = max(4, d_model // 64)
    config = ModelConfig(vocab, n_layer, heads, d_model, 4 * d_model)
    return MiniGPT(config, compute.generator(0, "performance"))


def batch(n: int = 32, dense: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and targets, (n, 48): whole sentences, padded, the loss on the form only; or random."""
    vocab = read_config(BASE)[0].vocab
    if dense:
        drawn = torch.randint(
            len(vocab), (n, WIDTH + 1), generator=compute.generator(0, "performance", "batch")
        )
        return drawn[:, :-1].clone(), drawn[:, 1:].clone()
    ids = torch.zeros(n, WIDTH, dtype=torch.int64)
    targets = torch.full((n, WIDTH), IGNORE)
    for i, row in enumerate(sentences(n)):
        symbols = torch.tensor(data.encode(f"\n{row['text']}\n", vocab))
        ids[i, : len(symbols) - 1] = symbols[:-1]
        seen = slice(len(row["prompt"]), len(row["prompt"]) + len(row["form"]) + 1)
        targets[i, seen] = symbols[1:][seen]
    return ids, targets


def step(model: nn.Module, batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> Work:
    """One step of what is trainable as the training loop takes it, a shard on each thread."""
    model = compute.accelerate(model.train())
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = compute.AdamW([{"params": parameters}], lr=1e-3)
    shards = 1 if environment.unrestricted() else THREADS
    each = train.side_by_side(shards)

    def run() -> None:
        train.gradients(model, parameters, next(batches), shards, each)
        compute.clip_grad_norm_(parameters, train.MAX_NORM)
        optimizer.step()

    return run


def pretraining_batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """64 whole sentences of the corpus at a time, as long as the longest of them."""
    texts = parquet.read_table(CORPUS, ["text", "split"]).to_pylist()
    texts = [row["text"] for row in texts if row["split"] == "train"]
    vocab = read_config(BASE)[0].vocab
    indices = data.index_batches(len(texts), 64, seeds.generator(0, "performance", "order"))
    # Made before, since it is the step that is timed.
    chosen = itertools.islice(indices, 50)
    return itertools.cycle([data.batch([texts[i] for i in batch], vocab) for batch in chosen])


def pretraining_step() -> Work:
    """A step of the base's training."""
    return step(minigpt(), pretraining_batches())


def lora_step(rank: int, modules: str, dense: bool) -> Work:
    """A LoRA step."""
    model = lora.wrap_minigpt_with_lora(minigpt(), rank, 8.0, TARGETS[modules])
    return step(model, itertools.repeat(batch(dense=dense)))


def step_flops(rank: int) -> int:
    """Operations in the products that a LoRA step on q and v needs, padding left out.

    Forward, and backward to the inputs above the first block's adapters; twice each multiply-add.
    """
    _, targets = batch()
    lengths = [int(row.ne(IGNORE).nonzero().max()) + 1 for row in targets]
    N, L = sum(lengths), int(targets.ne(IGNORE).sum())
    model = minigpt().config
    d, f, layers = model.d_model, model.d_ff, model.n_layer
    qkv, behind = 3 * d * d, d * d + 2 * d * f
    forward = layers * N * qkv + ((layers - 1) * N + L) * behind + L * d * model.vocab_size
    backward = forward - N * qkv
    pairs = sum(n * (n + 1) // 2 for n in lengths)
    attention = layers * 6 * pairs * d  # two products forward, four backward
    adapters = layers * 2 * 3 * N * rank * 2 * d
    return 2 * (forward + backward + attention + adapters)


def qlora_step(layers: int, width: int, n: int) -> Work:
    """LoRA r=8 on q and v of an NF4 model."""
    model = qlora.wrap_minigpt_qlora(minigpt(width, layers), 8, 8.0)
    return step(model, itertools.repeat(batch(n)))


def large() -> torch.Tensor:
    """A weight, (4096, 4096)."""
    return 0.02 * torch.randn(4096, 4096, generator=compute.generator(0, "performance", "weight"))


def quantize() -> Work:
    """Ours."""
    weight = large()
    return lambda: compute.quantize(weight)


def dequantize() -> Work:
    """Ours."""
    packed, state = compute.quantize(large())
    return lambda: compute.dequantize(packed, state)


def scored_rows() -> list[dict]:
    """Every so many of the held-out sentences."""
    rows = subsets.read_held_out(IRREGULAR, CONTROL)
    return rows[:: max(1, len(rows) // SCORED)]


def evaluate_run() -> Work:
    """Ours."""
    model, rows = compute.accelerate(minigpt().eval()), scored_rows()
    return lambda: evaluate.score_rows(model.score, rows)


def process(*command: str) -> Work:
    """A program that gets a fresh folder as its last argument."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-m", *command, f"{folder}/out"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    return run


def adapter() -> Work:
    """A run of the workflow, with the settings of params.yaml."""
    return process(
        *("minituner", "train", "--base", str(BASE), "--irregular", str(IRREGULAR)),
        *("--method", "lora", "--rank", "8", "--seed", "0", "--out"),
    )
