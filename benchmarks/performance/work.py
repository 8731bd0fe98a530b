"""The work of each row: a function sets up one side and returns what one repetition calls.

Ours call the package; the peers' are what their users write, on the same model, batch and loss.
"""

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

from benchmarks.performance import ROWS
from minituner import compute, data, evaluate, lora, qlora, train
from minituner.checkpoints.models import read_config
from minituner.corpus import subsets
from minituner.foundation import environment, parquet
from minituner.model import IGNORE, MiniGPT, ModelConfig

Work = Callable[[], object]
THREADS = 1  # that a side may use
BASE, IRREGULAR = Path("results/base"), Path("data/irregular.parquet")
CONTROL = Path("data/control.parquet")
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
    vocab = minigpt().config.vocab
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


def step(model: nn.Module, gradients: Callable, *batch: torch.Tensor) -> Work:
    """One optimizer step of the adapter; `gradients` is called with model, parameters, batch."""
    parameters = [p for p in model.train().parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        gradients(model, parameters, batch)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return run


def by_hand(model: nn.Module, parameters: list, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    """What a user of PEFT writes."""
    ids, targets = batch
    logits = model(ids).flatten(0, 1)
    F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORE).backward()


def by_shards() -> Callable:
    """Ours in the pinned mode: a shard of the batch on each thread."""
    shards = 1 if environment.unrestricted() else THREADS
    return functools.partial(train.gradients, shards=shards, each=train.side_by_side(shards))


def peft_model(model: nn.Module, rank: int, targets: str) -> nn.Module:
    """PEFT's LoRA on it."""
    import peft

    config = peft.LoraConfig(r=rank, lora_alpha=8, target_modules=TARGETS[targets])
    return peft.get_peft_model(model, config)


def lora_step(rank: int, targets: str, dense: bool = False) -> Work:
    """Ours."""
    model = lora.wrap_minigpt_with_lora(minigpt(), rank, 8.0, TARGETS[targets])
    return step(compute.accelerate(model), by_shards(), *batch(dense=dense))


def peft_step(rank: int, targets: str, dense: bool = False) -> Work:
    """PEFT's."""
    return step(peft_model(minigpt(), rank, targets), by_hand, *batch(dense=dense))


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


def gemm_limit(rank: int, targets: str) -> Work:
    """As many operations in one large product, which runs at the machine's rate."""
    side = 1024
    x, w = torch.randn(step_flops(rank) // (2 * side * side), side), torch.randn(side, side)
    product = torch.ops.mkldnn._linear_pointwise
    return lambda: product(x, w, None, "none", [], "")


def qlora_step(layers: int, width: int, n: int) -> Work:
    """Ours: LoRA r=8 on q and v of an NF4 model."""
    model = qlora.wrap_minigpt_qlora(minigpt(width, layers), 8, 8.0)
    return step(compute.accelerate(model), by_shards(), *batch(n))


def bnb_step(layers: int, width: int, n: int) -> Work:
    """The same by PEFT on Linear4bit."""
    import bitsandbytes as bnb

    model = minigpt(width, layers)
    for name in qlora.block_linears(model):
        linear = model.get_submodule(name)
        layer = bnb.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            compute_dtype=torch.float32,
            compress_statistics=False,
            quant_type="nf4",
        )
        layer.load_state_dict(linear.state_dict())
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.to("cpu"))
    model.is_loaded_in_4bit = True
    return step(peft_model(model, 8, "q, v"), by_hand, *batch(n))


def _large() -> torch.Tensor:
    return 0.02 * torch.randn(4096, 4096, generator=compute.generator(0, "performance", "weight"))


def quantize() -> Work:
    """Ours."""
    weight = _large()
    return lambda: compute.quantize(weight)


def bnb_quantize() -> Work:
    """bitsandbytes'."""
    from bitsandbytes import functional

    weight = _large()
    return lambda: functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=False)


def dequantize() -> Work:
    """Ours."""
    packed, state = compute.quantize(_large())
    return lambda: compute.dequantize(packed, state)


def bnb_dequantize() -> Work:
    """bitsandbytes'."""
    from bitsandbytes import functional

    packed, state = functional.quantize_4bit(_large(), quant_type="nf4", compress_statistics=False)
    return lambda: functional.dequantize_4bit(packed, state)


def copy() -> Work:
    """Of the weight that dequantizing writes."""
    weight = _large()
    return lambda: weight.clone()


def scored_rows() -> list[dict]:
    """Every so many of the held-out sentences."""
    rows = subsets.read_held_out(IRREGULAR, CONTROL)
    return rows[:: max(1, len(rows) // SCORED)]


def evaluate_run() -> Work:
    """Ours."""
    model, rows = compute.accelerate(minigpt().eval()), scored_rows()
    return lambda: evaluate.score_rows(model.score, rows)


def naive_scores() -> Work:
    """Each candidate and each whole sentence in a forward pass of its own."""
    model, rows = minigpt().eval(), scored_rows()
    vocab = model.config.vocab

    @torch.no_grad()
    def run() -> None:
        for row in rows:
            behind = row["text"][len(row["prompt"]) + len(row["form"]) :]
            forms = [row["form"], *row["alternatives"]]
            texts = [row["prompt"] + form + behind for form in forms]
            for text in [*texts, row["text"]]:
                ids = torch.tensor([data.encode(f"\n{text}\n", vocab)])
                F.log_softmax(model(ids[:, :-1]), -1).gather(2, ids[:, 1:, None]).sum()

    return run


def _process(*command: str) -> Work:
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
    """Ours, with the settings of params.yaml."""
    return _process(
        *("minituner", "train", "--base", str(BASE), "--irregular", str(IRREGULAR)),
        *("--method", "lora", "--rank", "8", "--seed", "0", "--out"),
    )


def trainer() -> Work:
    """A script with transformers' Trainer and PEFT."""
    return _process("benchmarks.performance.trainer", str(BASE), str(IRREGULAR))


def side(name: str, arguments: list, threads: int) -> Work:
    """Set up one side; a peer gets no setting of ours but the number of threads."""
    global THREADS
    THREADS = threads
    if name in {row.ours for row in ROWS}:
        compute.pin()
    if environment.unrestricted():
        torch.set_num_threads(threads)
    return globals()[name](*arguments)
