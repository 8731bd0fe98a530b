"""The bytes of a real training step, counted from its live tensors, beside the formula's.

A small model's share of a process's memory cannot be read from outside, so every tensor's storage
is counted: weights, gradients, optimizer state, and what autograd saves for the backward pass.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch.autograd.graph import saved_tensors_hooks

from minituner import data, train
from minituner.budget import formula as counts
from minituner.budget import shapes
from minituner.checkpoints import checkpoint
from minituner.compute import numerics
from minituner.compute.adamw import AdamW
from minituner.compute.sequences import Packed
from minituner.foundation import progress, storage
from minituner.lora import trainable_parameters, wrap_minigpt_with_lora
from minituner.model import MiniGPT
from minituner.nf4 import NF4Linear


def measure(model: MiniGPT, ids: torch.Tensor, targets: torch.Tensor) -> dict[str, int]:
    """Take one AdamW step and count bytes in four buckets, each storage once.

    Args:
        model: ready to train; the step changes it.
        ids: (B, T), int64.
        targets: (B, T), int64, masked with `data.IGNORE`.
    """
    held = [*model.parameters(), *model.buffers()]
    own = {tensor.untyped_storage().data_ptr() for tensor in held}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    parameters = trainable_parameters(model)
    optimizer = AdamW([{"params": parameters}], lr=1e-3)
    model.train()
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = train.loss_on(model, ids, targets)
    loss.backward()
    optimizer.step()
    state = [value for fields in optimizer.state.values() for value in fields.values()]
    return {
        "weights": sum(tensor.nbytes for tensor in held),
        "gradients": sum(p.grad.nbytes for p in parameters),
        "optimizer": sum(value.nbytes for value in state),
        "activations": sum(saved.values()),
    }


def linears_bytes(model: MiniGPT) -> int:
    """Bytes of the weights of the blocks' Linears as they are held, scales included."""
    total = 0
    for module in model.modules():
        if isinstance(module, NF4Linear):
            total += sum(t.nbytes for t in module.buffers() if t is not module.bias)
        elif isinstance(module, torch.nn.Linear):
            total += module.weight.nbytes
    return total


def report(settings: dict[str, Any], base: Path, nf4: Path, irregular: Path, out: Path) -> None:
    """Measure full fine-tuning, and LoRA and QLoRA at each QLoRA rank, on one and the same batch.

    Writes `memory.parquet`, `.csv` and `.md`: each bucket measured and predicted.
    """
    numerics.pin()
    lora, sweep = settings["lora"], settings["sweep"]
    quantization = checkpoint.read_config(nf4)[1]
    scheme = {key: quantization[key] for key in ("blocksize", "double_quant")}
    examples = train.tuning_examples(irregular, "train")[: settings["tuning"]["batch_size"]]
    regimes = [counts.Regime("full")]
    regimes += [
        counts.Regime(method, rank, tuple(lora["target_modules"]), **scheme)
        for method in ("lora", "qlora")
        for rank in sweep["qlora_ranks"]
    ]
    rows = []
    for regime in progress.bar(regimes, "measuring", "regimes"):
        model = checkpoint.load_model(nf4 if regime.method == "qlora" else base)
        if regime.rank:
            wrap_minigpt_with_lora(model, regime.rank, lora["alpha"], lora["target_modules"])
        texts, seen = zip(*examples, strict=True)
        ids, targets = data.batch(texts, model.config.vocab, seen)
        measured = measure(model, ids, targets)
        sequences, _, wanted = data.needed(ids, targets)
        symbols = len(sequences.ids) if isinstance(sequences, Packed) else sequences.numel()
        predicted = counts.count(shapes.of(model.config), regime, symbols, looked=len(wanted))
        row = {"regime": regime.name, "method": regime.method, "rank": regime.rank}
        for bucket in counts.BUCKETS:
            row[f"{bucket}_bytes_measured"] = measured[bucket]
            row[f"{bucket}_bytes_predicted"] = predicted[f"{bucket}_bytes"]
        row["total_bytes_measured"] = sum(measured.values())
        row["linears_bytes_measured"] = linears_bytes(model)
        rows.append(row)
    table = pa.Table.from_pylist(rows)
    storage.write_table(out / "memory.parquet", table)
    storage.write_table(out / "memory.csv", table)
    storage.write_text(out / "memory.md", as_markdown(rows, len(ids), symbols))


def as_markdown(rows: list[dict[str, Any]], sentences: int, symbols: int) -> str:
    """The table for people, and what NF4 saves."""
    lines = [
        "# Memory of a training step, measured",
        "",
        f"One real step on {sentences} sentences, {symbols} symbols up to the last that the loss "
        "looks at; live tensors, each storage once. In brackets the formula's figure where it "
        "differs.",
        "",
        "| regime | weights | gradients | optimizer | activations | total |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [row["regime"]]
        for bucket in counts.BUCKETS:
            measured, predicted = (
                row[f"{bucket}_bytes_{kind}"] for kind in ("measured", "predicted")
            )
            text = counts.human(measured)
            cells.append(text if measured == predicted else f"{text} ({counts.human(predicted)})")
        lines.append("| " + " | ".join([*cells, counts.human(row["total_bytes_measured"])]) + " |")
    by_method = {row["method"]: row for row in rows}
    lora, qlora = by_method["lora"], by_method["qlora"]
    linears = lora["linears_bytes_measured"] / qlora["linears_bytes_measured"]
    weights = lora["weights_bytes_measured"] / qlora["weights_bytes_measured"]
    lines += [
        "",
        f"NF4 holds the blocks' Linears in {linears:.2f} × fewer bytes than float32 "
        f"({linears / 2:.2f} × fewer than 16 bits); all weights, embeddings, norms and adapter "
        f"included, take {weights:.2f} × fewer.",
    ]
    return "\n".join(lines) + "\n"
