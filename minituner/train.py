"""One training loop for the base, full fine-tuning, LoRA and QLoRA.

Base: next-symbol loss on whole sentences of the noisy corpus. The other three: supervised
fine-tuning on correct sentences, the loss on the conjugated form only, the prompt masked.
"""

import collections
import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from minituner import data
from minituner.checkpoints import checkpoint
from minituner.checkpoints.resume import Resume
from minituner.compute import numerics
from minituner.compute.adamw import AdamW
from minituner.foundation import progress, storage
from minituner.foundation.errors import UserError
from minituner.foundation.seeds import derive_seed, generator
from minituner.lora import lora_layers, trainable_parameters, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig

CURVE_FILE = "curve.csv"
VALIDATED = 256  # sentences at a time, so that memory does not grow with their number
MAX_NORM = 1.0  # gradient clipping, as in GPT-3 (Brown et al. 2020, appendix B)

Batch = tuple[torch.Tensor, torch.Tensor]
Map = Callable[..., Iterable[Any]]


def loss_on(model: MiniGPT, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats a symbol over the targets that are not masked; a scalar.

    What no target needs is not computed: padding, what lies behind a sentence's last target, which
    a causal model cannot see from before, and the model's last layers where there is no target.
    """
    sequences, looked, wanted = data.needed(ids, targets)
    logits = model(sequences) if looked is None else model(sequences, looked)
    return F.cross_entropy(logits.flatten(0, -2), wanted, ignore_index=data.IGNORE)


def _counted(targets: torch.Tensor) -> int:
    return int((targets != data.IGNORE).sum())


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
    symbols = _counted(batch[1])

    def of(ids: torch.Tensor, targets: torch.Tensor) -> tuple[float, tuple[torch.Tensor, ...]]:
        loss = loss_on(model, ids, targets) * (_counted(targets) / symbols)
        return float(loss.detach()), torch.autograd.grad(loss, parameters)

    losses, parts = zip(*each(of, *(part.chunk(shards) for part in batch)), strict=True)
    for parameter, first, *others in zip(parameters, *parts, strict=True):
        parameter.grad = sum(others, first)
    return sum(losses)


def side_by_side(threads: int) -> Map:
    """`map` by so many threads."""
    return ThreadPoolExecutor(threads).map if threads > 1 else map


def validation_loss(model: MiniGPT, batches: list[Batch], each: Map = map) -> float:
    """The same loss over several batches, weighted by their number of targets."""

    @torch.no_grad()  # of the calling thread alone, so of each
    def of(batch: Batch) -> float:
        return float(loss_on(model, *batch)) * _counted(batch[1])

    model.eval()
    total = sum(each(of, batches))
    model.train()
    return total / sum(_counted(targets) for _, targets in batches)


def learning_rate_at(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up to `peak`, then half a cosine down to a tenth of it."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))


def fit(
    model: MiniGPT,
    batches: Iterator[Batch],
    validation: list[Batch],
    settings: dict[str, Any],
    report: Callable[[dict[str, float]], None] = lambda row: None,
    resume: Resume | None = None,
    threads: int | None = None,
) -> list[dict[str, float]]:
    """Train the model's trainable parameters in place and return the curve.

    Args:
        model: only parameters that require gradients are changed.
        batches: ids and targets, both (B, T).
        validation: batches for the curve's `val_loss`; never trained on.
        settings: `steps`, `learning_rate`, `warmup`, `eval_every` and, optionally, `weight_decay`
            and `shards`.
        report: called with each row of the curve as it is made.
        resume: where a killed run goes on from; None always starts at step 0.
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
    groups = [group for group in groups if group["params"]]
    optimizer = AdamW(groups, lr=peak, betas=(0.9, 0.99))
    curve: list[dict[str, float]] = []
    shards = settings.get("shards", 1)
    # Dropout draws from one generator, whose numbers the threads would get in any order.
    drops = any(layer.dropout for layer in lora_layers(model).values())
    each = side_by_side(1 if drops else min(threads or shards, shards))

    def record(step: int, train_loss: float, rate: float) -> None:
        val_loss = validation_loss(model, validation, each)
        row = {"step": step, "train_loss": train_loss, "val_loss": val_loss, "learning_rate": rate}
        curve.append(row)
        report(row)

    model.train()
    done = resume.load(optimizer, curve) if resume else 0
    for _ in range(done):
        next(batches)
    for step in progress.bar(range(done, steps), "training", "steps"):
        rate = learning_rate_at(step, steps, settings["warmup"], peak)
        for group in optimizer.param_groups:
            group["lr"] = rate
        value = gradients(model, parameters, next(batches), shards, each)
        torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM)
        if not math.isfinite(value):
            raise UserError(f"train: step {step}: the loss is {value}; lower the learning_rate")
        if step % settings["eval_every"] == 0:
            record(step, value, rate)  # before the update: row 0 is the untrained model
        optimizer.step()
        if resume and step % settings["eval_every"] == 0 and step + 1 < steps:
            resume.save(step + 1, optimizer, curve)
    record(steps, value, 0.0)
    model.eval()
    return curve


def write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    """Write a training curve as CSV, one row an evaluation."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(curve[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve)
    storage.write_text(path, text.getvalue())


def _print_row(row: dict[str, float]) -> None:
    losses = f"train {row['train_loss']:.4f}  val {row['val_loss']:.4f}"
    progress.say(f"step {row['step']:5d}  {losses}")


def pretrain(settings: dict[str, Any], corpus: Path, out: Path, threads: int | None = None) -> None:
    """Train the base on the corpus as written, mistakes included, and save it to `out`.

    With `base.checkpoint` set, that model is checked and copied instead. Only the train split is
    learnt from, so no frame of the test split is ever seen. A killed run is resumed.
    """
    numerics.pin()
    options = settings["base"]
    with Resume(out, [corpus], settings=settings) as resume:
        table = storage.read_table(corpus, ["text", "split"])
        texts = collections.defaultdict(list)
        for text, split in zip(*(column.to_pylist() for column in table.columns), strict=True):
            texts[split].append(text)
        vocab = data.vocabulary([text for split in texts.values() for text in split])
        if options["checkpoint"]:
            model = _given(options["checkpoint"], vocab, corpus)
            validation = _pieces(texts["val"], model.config.vocab)
            curve = [{"step": 0, "val_loss": validation_loss(model, validation)}]
        else:
            config = ModelConfig(vocab=vocab, **settings["model"])
            model = MiniGPT(config, numerics.generator(options["seed"], "base", "init"))
            order = generator(options["seed"], "base", "batches")
            train = texts["train"]
            indices = data.index_batches(len(train), options["batch_size"], order)
            batches = (data.batch([train[i] for i in chosen], vocab) for chosen in indices)
            validation = _pieces(texts["val"], vocab)
            curve = fit(model, batches, validation, options, _print_row, resume, threads)
        write_curve(out / CURVE_FILE, curve)
        checkpoint.save_model(out, model)


def _given(folder: str, vocab: str, corpus: Path) -> MiniGPT:
    """The user's own base, if it knows all symbols of the corpus."""
    model = checkpoint.load_model(Path(folder))
    lacking = sorted(set(vocab) - set(model.config.vocab))
    if lacking:
        raise UserError(
            f"{folder}/{checkpoint.CONFIG_FILE}: model.vocab: lacks "
            f"{', '.join(map(repr, lacking))} of {corpus}; name a base that was trained on "
            "such text, or null to train one here"
        )
    return model


def _pieces(texts: list[str], vocab: str) -> list[Batch]:
    starts = range(0, max(len(texts), 1), VALIDATED)
    return [data.batch(texts[start : start + VALIDATED], vocab) for start in starts]


def tuning_examples(irregular: Path, split: str) -> list[tuple[str, int]]:
    """The (text, symbols seen) pairs of a split of the irregular-verb subset, probes left out."""
    rows = storage.read_table(irregular, ["text", "prompt", "form", "split", "probe"]).to_pylist()
    return [
        data.completion(row["text"], row["prompt"], row["form"])
        for row in rows
        if row["split"] == split and not row["probe"]
    ]


def tune(
    settings: dict[str, Any],
    method: str,
    base: Path,
    irregular: Path,
    seed: int,
    out: Path,
    rank: int | None = None,
    threads: int | None = None,
) -> None:
    """Fine-tune the model in `base` on correct irregular forms and save the result to `out`.

    A killed run is resumed.

    Args:
        settings: `tuning`, and `lora` or, for full fine-tuning, `full`.
        method: `full` trains every weight, `lora` and `qlora` an adapter of rank `rank`; for
            `qlora` the base is an NF4 one.
        base: folder of the base.
        irregular: the irregular-verb subset.
        seed: of the adapter's start and of the batches' order; equal seeds give LoRA, QLoRA and
            full fine-tuning the same batches.
        out: folder to write.
        rank: the adapter's rank.
        threads: as in `fit`.
    """
    numerics.pin()
    quantized = checkpoint.read_config(base)[1] is not None
    if quantized != (method == "qlora"):
        kind = "an NF4" if quantized else "a float"
        raise UserError(f"{base}: {kind} base does not fit method {method}; name the other base")
    inputs = [irregular, base / checkpoint.MODEL_FILE, base / checkpoint.CONFIG_FILE]
    with Resume(out, inputs, settings=settings, run=[method, seed, rank]) as resume:
        model = checkpoint.load_model(base)
        examples = {split: tuning_examples(irregular, split) for split in ("train", "val")}
        how = {"report": _print_row, "resume": resume, "threads": threads}
        curve = adapt(model, settings, method, examples, seed, rank, **how)
        write_curve(out / CURVE_FILE, curve)
        if method == "full":
            checkpoint.save_model(out, model)
        else:
            checkpoint.save_adapter(out, model, base)


def adapt(
    model: MiniGPT,
    settings: dict[str, Any],
    method: str,
    examples: dict[str, list[tuple[str, int]]],
    seed: int,
    rank: int | None = None,
    report: Callable[[dict[str, float]], None] = lambda row: None,
    resume: Resume | None = None,
    threads: int | None = None,
) -> list[dict[str, float]]:
    """Fine-tune a model in place and return the curve; `tune` without its files.

    Args:
        model: wrapped with an adapter unless `method` is `full`.
        settings: as in `tune`.
        method: as in `tune`.
        examples: `train` and `val`, (text, symbols seen) pairs each.
        seed: as in `tune`.
        rank: as in `tune`.
        report: as in `fit`.
        resume: as in `fit`.
        threads: as in `fit`.
    """
    options = dict(settings["tuning"])
    if method == "full":
        options["learning_rate"] = settings["full"]["learning_rate"]
        model.requires_grad_(True)
    else:
        lora = settings["lora"]
        init = numerics.generator(seed, "adapter", "init")
        try:
            wrap_minigpt_with_lora(
                model, rank, lora["alpha"], lora["target_modules"], lora["dropout"], init
            )
        except ValueError as error:
            raise UserError(f"params.yaml: sweep.ranks: {error}; choose a smaller rank") from None
    vocab, train = model.config.vocab, examples["train"]

    def as_batch(pairs: list[tuple[str, int]]) -> Batch:
        return data.batch([text for text, _ in pairs], vocab, [seen for _, seen in pairs])

    order = generator(seed, "tuning", "batches")
    indices = data.index_batches(len(train), options["batch_size"], order)
    batches = (as_batch([train[i] for i in chosen]) for chosen in indices)
    torch.manual_seed(derive_seed(seed, "tuning", "dropout"))
    return fit(model, batches, [as_batch(examples["val"])], options, report, resume, threads)
