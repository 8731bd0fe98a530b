"""Score one model on held-out sentences: forced choice, exact match and perplexity, a row each.

Every number here is a sum of log-probabilities in nats. Intervals over many rows, frames and seeds
are made from these rows by `summarize.py`.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import torch.nn.functional as F

from minituner import checkpoint, data, files, numerics, progress
from minituner.errors import UserError
from minituner.model import MiniGPT

BATCH = 128
COLUMNS = "id text prompt form alternatives verb_lemma tense person frame split probe set".split()


@torch.no_grad()
def symbol_log_probs(
    model: MiniGPT, texts: list[str], seen: list[int] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each symbol the loss would see, and whether it is the likeliest one.

    Args:
        model: the model to ask.
        texts: N sentences (`seen` None) or completions, as in `data.batch`.
        seen: how many of each text's last symbols count.

    Returns:
        Two (N, context) tensors, float64 and bool, with 0 and True at places that do not count.
    """
    width = model.config.context
    log_probs = torch.zeros(len(texts), width, dtype=torch.float64)
    likeliest = torch.ones(len(texts), width, dtype=torch.bool)
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in progress.bar(range(0, len(by_length), BATCH), "scoring", "batches"):
        chosen = by_length[start : start + BATCH]
        ids, targets = data.batch(
            [texts[i] for i in chosen], model.config.vocab, seen and [seen[i] for i in chosen]
        )
        counted = targets != data.IGNORE
        needed, looked, wanted = data.needed(ids, targets)
        logits = model(needed, looked).flatten(0, -2)
        values = F.log_softmax(logits, dim=-1).gather(1, wanted[:, None])[:, 0]
        block = torch.zeros(targets.shape, dtype=torch.float64)
        block[counted] = values.double()
        hits = torch.ones(targets.shape, dtype=torch.bool)
        hits[counted] = logits.argmax(dim=-1) == wanted
        log_probs[chosen, : targets.shape[1]] = block
        likeliest[chosen, : targets.shape[1]] = hits
    return log_probs, likeliest


def score(model: MiniGPT, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the model makes of each sentence.

    For a row with alternatives: `correct_logp` and `rival_logp` are log P(form + closing symbol |
    prompt) of the correct form and of its likeliest rival, `margin` their difference, `chosen`
    whether it is positive, `exact` whether greedy decoding from the prompt writes the form and
    closes it. For every row: nats and symbols of the form and of the whole sentence.
    """
    candidates, owner = [], []
    for i, row in enumerate(rows):
        for form in [row["form"], *row["alternatives"]]:
            text = row["prompt"] + form + row["text"][len(row["prompt"]) + len(row["form"]) :]
            candidates.append(data.completion(text, row["prompt"], form))
            owner.append(i)
    texts, seen = map(list, zip(*candidates, strict=True))
    log_probs, likeliest = symbol_log_probs(model, texts, seen)
    totals = log_probs.sum(dim=1).tolist()
    exact = likeliest.all(dim=1).tolist()
    sentence_nats = (-symbol_log_probs(model, [row["text"] for row in rows])[0].sum(1)).tolist()

    scored = []
    at = 0
    for i, row in enumerate(rows):
        rivals = list(row["alternatives"])
        correct = totals[at]
        result: dict[str, Any] = {
            "correct_logp": correct,
            "rival": None,
            "rival_logp": None,
            "margin": None,
            "chosen": None,
            "exact": exact[at],
            "form_nats": -correct,
            "form_symbols": seen[at],
            "sentence_nats": sentence_nats[i],
            "sentence_symbols": len(row["text"]) + 1,
        }
        if rivals:
            rival_logp, rival = max(zip(totals[at + 1 : at + 1 + len(rivals)], rivals, strict=True))
            margin = correct - rival_logp
            result |= {
                "rival": rival,
                "rival_logp": rival_logp,
                "margin": margin,
                "chosen": margin > 0,
            }
        scored.append(result)
        at += 1 + len(rivals)
    return scored


def held_out_rows(irregular: Path, control: Path) -> list[dict[str, Any]]:
    """The validation and test rows of both subsets, each with `set` = irregular or control."""
    rows = []
    for name, path in (("irregular", irregular), ("control", control)):
        columns = [c for c in COLUMNS if c not in ("set", "probe")]
        table = files.read_table(path, [*columns, *(["probe"] if name == "irregular" else [])])
        rows += [
            {"probe": False, **row, "set": name}
            for row in table.to_pylist()
            if row["split"] in ("val", "test")
        ]
    if not rows:
        raise UserError(f"{irregular}: split: no sentence in val or test; make the subset again")
    return rows


def evaluate_run(
    base: Path, adapter: Path | None, irregular: Path, control: Path, out: Path
) -> None:
    """Score the model in `base`, with `adapter` on top if given, and write one row a sentence."""
    numerics.pin()
    model = checkpoint.load_model(base)
    if adapter:
        checkpoint.load_adapter(adapter, model, base)
    model.eval()
    rows = held_out_rows(irregular, control)
    kept = [c for c in COLUMNS if c not in ("text", "prompt", "alternatives")]
    results = [
        {"run": out.stem} | {c: row[c] for c in kept} | scores
        for row, scores in zip(rows, score(model, rows), strict=True)
    ]
    files.write_table(out, pa.Table.from_pylist(results))


@torch.no_grad()
def agreement(
    base: Path, nf4: Path, adapters: list[Path], irregular: Path, control: Path, out: Path
) -> None:
    """How far the logits move when the base below one and the same adapter is quantized.

    One row an adapter, and a first row without any (`adapter` null): the error that quantizing the
    base alone makes, which the others are held against. Over all symbols of the test sentences,
    padding left out: `mean_abs` and `max_abs` of the logit difference, `relative` = its Frobenius
    norm over that of the float base's logits.
    """
    numerics.pin()
    texts = [row["text"] for row in held_out_rows(irregular, control) if row["split"] == "test"]
    results = []
    for adapter in progress.bar([None, *adapters], "agreement", "adapters"):
        models = []
        for folder in (base, nf4):
            model = checkpoint.load_model(folder)
            if adapter:
                # Trained on the float base, the adapter is here put on the quantized one as well.
                checkpoint.load_adapter(adapter, model, base)
            models.append(model.eval())
        total, squares, reference, largest, n = 0.0, 0.0, 0.0, 0.0, 0
        for start in range(0, len(texts), BATCH):
            ids, targets = data.batch(texts[start : start + BATCH], models[0].config.vocab)
            counted = targets != data.IGNORE
            with_float, with_nf4 = (model(ids)[counted].double() for model in models)
            difference = (with_nf4 - with_float).abs()
            total += float(difference.sum())
            squares += float(difference.square().sum())
            reference += float(with_float.square().sum())
            largest = max(largest, float(difference.max()))
            n += difference.numel()
        results.append(
            {
                "adapter": adapter and adapter.name,
                "mean_abs": total / n,
                "max_abs": largest,
                "relative": (squares / reference) ** 0.5,
            }
        )
    files.write_table(out, pa.Table.from_pylist(results))
