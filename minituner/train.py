"""One training loop for the base, full fine-tuning, LoRA and QLoRA.

Base: next-symbol loss on whole sentences of the noisy corpus. The other three: supervised
fine-tuning on correct sentences, the loss on the conjugated form only, the prompt masked.

A model is trained through its `loss(ids, targets)`, so one that computes it in another way is
trained by the same lines.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from minituner import data
from minituner.foundation import progress, seeds
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, trainable_parameters, wrap_minigpt_with_lora
from minituner.model import IGNORE, MiniGPT

VALIDATED = 256  # sentences at a time, so that memory does not grow with their number
MAX_NORM = 1.0  # gradient clipping, as in GPT-3 (Brown et al. 2020, appendix B)

Batch = tuple[torch.Tensor, torch.Tensor]  # ids and targets, both (B, T)
Map = Callable[..., Iterable[Any]]
Row = dict[str, float]  # of the training curve
Examples = list[tuple[str, int]]  # a text, and how many of its last symbols the loss sees


def counted(targets: torch.Tensor) -> int:
    """How many targets the loss looks at."""
    return int((targets != IGNORE).sum())


def gradients(
    model: MiniGPT, parameters: list[torch.Tensor], batch: Batch, shards: int, each: Map = map
) -> float:
    """Set the gradients of the mean loss over a batch, and return that loss.

    Args:
        model: the model.
        parameters: those whose gradients are set.
        batch: ids and targets, both (B, T).
        shards: parts that the batch is cut into; theirs are added up in order.
        each: `map`, or that of a pool of threads: the bytes are the same.
    """
    symbols = counted(batch[1])

    def of_shard(ids: torch.Tensor, targets: torch.Tensor) -> tuple[float, tuple]:
        loss = model.loss(ids, targets) * (counted(targets) / symbols)
        return float(loss.detach()), torch.autograd.grad(loss, parameters)

    losses, by_shard = zip(*each(of_shard, *(part.chunk(shards) for part in batch)), strict=True)
    for parameter, first, *others in zip(parameters, *by_shard, strict=True):
        parameter.grad = sum(others, first)
    return math.fsum(losses)


def side_by_side(threads: int) -> Map:
    """`map` by so many threads."""
    return ThreadPoolExecutor(threads).map if threads > 1 else map


def validation_loss(model: MiniGPT, batches: list[Batch], each: Map = map) -> float:
    """The same loss over several batches, weighted by their number of targets."""

    @torch.no_grad()  # PyTorch keeps this mode by thread, so each thread's call sets its own
    def total_loss(batch: Batch) -> float:
        return float(model.loss(*batch)) * counted(batch[1])

    model.eval()
    total = math.fsum(each(total_loss, batches))
    model.train()
    return total / sum(counted(targets) for _, targets in batches)


def learning_rate_at(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up to `peak`, then half a cosine down to a tenth of it."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def fit(
    model: MiniGPT,
    batches: Iterator[Batch],
    validation: list[Batch],
    settings: dict[str, Any],
    adamw: Callable = torch.optim.AdamW,
    clip: Callable = torch.nn.utils.clip_grad_norm_,
    on_row: Callable[[Row], None] = lambda row: None,
    resume: Any = None,
    threads: int | None = None,
) -> list[Row]:
    """Train the model's trainable parameters in place and return the curve.

    Args:
        model: what has parameters and a `loss(ids, targets)`; only parameters that require
            gradients are changed.
        batches: ids and targets, both (B, T).
        validation: batches for the curve's `val_loss`; never trained on.
        settings: `steps`, `learning_rate`, `warmup`, `eval_every` and, optionally, `weight_decay`
            and `shards`.
        adamw: makes the optimizer (Loshchilov & Hutter 2019, arXiv:1711.05101).
        clip: scales the gradients in place where their norm is above a largest one.
        on_row: called with each row of the curve as it is made.
        resume: a `Resume`, where a killed run goes on from; None always starts at step 0.
        threads: that compute a batch's shards side by side, None for one each; no byte depends
            on their number.

    Raises:
        UserError: if nothing is trainable, or the loss stops being a number.
    """
    parameters = trainable_parameters(model)
    steps, peak = settings["steps"], settings["learning_rate"]
    # Decay pulls matrices towards zero; biases and norms have no reason to be small.
    decay = settings.get("weight_decay", 0.0)
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = adamw([group for group in groups if group["params"]], lr=peak, betas=(0.9, 0.99))
    curve: list[Row] = []
    shards = settings.get("shards", 1)
    # Dropout draws from one generator, whose numbers the threads would get in any order.
    drops = any(layer.dropout for layer in lora_layers(model).values())
    each = side_by_side(1 if drops else min(threads or shards, shards))

    def add_row(step: int, train_loss: float, rate: float) -> None:
        val_loss = validation_loss(model, validation, each)
        row = {"step": step, "train_loss": train_loss, "val_loss": val_loss, "learning_rate": rate}
        curve.append(row)
        on_row(row)

    model.train()
    done = resume.load(optimizer, curve) if resume else 0
    for _ in range(done):
        next(batches)
    for step in progress.bar(range(done, steps), "training", "steps"):
        rate = learning_rate_at(step, steps, settings["warmup"], peak)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = gradients(model, parameters, next(batches), shards, each)
        clip(parameters, MAX_NORM)
        if not math.isfinite(loss):
            raise UserError(f"train: step {step}: the loss is {loss}; lower the learning_rate")
        if step % settings["eval_every"] == 0:
            add_row(step, loss, rate)  # before the update: row 0 is the untrained model
        optimizer.step()
        if resume and step % settings["eval_every"] == 0 and step + 1 < steps:
            resume.save(step + 1, optimizer, curve)
    add_row(steps, loss, 0.0)
    model.eval()
    return curve


def show_losses(row: Row) -> None:
    """Print a row of the curve, as `on_row`."""
    losses = f"train {row['train_loss']:.4f}  val {row['val_loss']:.4f}"
    progress.say(f"step {row['step']:5d}  {losses}")


def pretrain(
    model: MiniGPT, settings: dict[str, Any], texts: list[str], validation: list[Batch], **how: Any
) -> list[Row]:
    """Train a base on sentences as they are written, mistakes included; returns the curve.

    Args:
        model: as in `fit`.
        settings: as in `fit`, with `batch_size` and the `seed` of the batches' order.
        texts: the training sentences.
        validation: as in `fit`.
        how: further arguments of `fit`.
    """
    order = seeds.generator(settings["seed"], "base", "batches")
    indices = data.index_batches(len(texts), settings["batch_size"], order)
    vocab = model.config.vocab
    batches = (data.batch([texts[i] for i in chosen], vocab) for chosen in indices)
    return fit(model, batches, validation, settings, **how)


def whole_sentences(texts: list[str], vocab: str) -> list[Batch]:
    """Sentences as batches for validation, `VALIDATED` at a time."""
    starts = range(0, max(len(texts), 1), VALIDATED)
    return [data.batch(texts[start : start + VALIDATED], vocab) for start in starts]


def prepare(
    model: MiniGPT,
    settings: dict[str, Any],
    method: str,
    rank: int | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, Any]:
    """Make trainable what a method trains, in place; returns the settings of `tune`.

    Args:
        model: a float model, or for `qlora` one in NF4.
        settings: `tuning`, and `lora` or, for full fine-tuning, `full`.
        method: `full` trains every weight, `lora` and `qlora` an adapter of rank `rank`.
        rank: the adapter's rank.
        generator: where the adapter is drawn from.

    Raises:
        UserError: for a rank that the model's layers are too narrow for.
    """
    if method == "full":
        model.requires_grad_(True)
        return settings["tuning"] | {"learning_rate": settings["full"]["learning_rate"]}
    lora = settings["lora"]
    try:
        wrap_minigpt_with_lora(
            model, rank, lora["alpha"], lora["target_modules"], lora["dropout"], generator
        )
    except ValueError as error:
        raise UserError(f"params.yaml: sweep.ranks: {error}; choose a smaller rank") from None
    return settings["tuning"]


def tune(
    model: MiniGPT,
    settings: dict[str, Any],
    examples: dict[str, Examples],
    seed: int,
    **how: Any,
) -> list[Row]:
    """Fine-tune a model that `prepare` made ready, on correct sentences; returns the curve.

    Args:
        model: as in `fit`.
        settings: as in `fit`, with `batch_size`.
        examples: `train` and `val`.
        seed: of the batches' order and of dropout; equal seeds give LoRA, QLoRA and full
            fine-tuning the same batches.
        how: further arguments of `fit`.
    """
    vocab, train = model.config.vocab, examples["train"]

    def as_batch(pairs: Examples) -> Batch:
        return data.batch([text for text, _ in pairs], vocab, [seen for _, seen in pairs])

    order = seeds.generator(seed, "tuning", "batches")
    indices = data.index_batches(len(train), settings["batch_size"], order)
    batches = (as_batch([train[i] for i in chosen]) for chosen in indices)
    torch.manual_seed(seeds.derive_seed(seed, "tuning", "dropout"))
    return fit(model, batches, [as_batch(examples["val"])], settings, **how)
