"""Score one model on held-out sentences: forced choice, exact match and perplexity, a row each.

Every number here is a sum of log-probabilities in nats. Intervals over many rows, frames and seeds
are made from these rows by `summarize.py`.
"""

from os.path import commonprefix
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import torch.nn.functional as F

from minituner import data
from minituner.checkpoints import checkpoint
from minituner.compute import numerics
from minituner.compute.sequences import pack
from minituner.foundation import progress, storage
from minituner.foundation.errors import UserError
from minituner.model import MiniGPT

BATCH = 128
COLUMNS = "id text prompt form alternatives verb_lemma tense person frame split probe set".split()


@torch.no_grad()
def _log_probs(
    model: MiniGPT,
    texts: list[str],
    seen: list[int] | None,
    parents: list[int] | None = None,
    shared: list[int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`symbol_log_probs` in one forward pass; for `parents` and `shared` see `packing.pack`."""
    ids, targets = data.batch(texts, model.config.vocab, seen)
    counted = targets != data.IGNORE
    packed = pack(
        ids, data.needed_lengths(targets), *(x and torch.tensor(x) for x in (parents, shared))
    )
    logits, at, wanted = model(packed), packed.reads[counted], targets[counted]
    log_probs = torch.zeros(ids.shape, dtype=torch.float64)
    log_probs[counted] = F.log_softmax(logits, dim=-1)[at, wanted].double()
    likeliest = torch.ones(ids.shape, dtype=torch.bool)
    likeliest[counted] = logits.argmax(dim=-1)[at] == wanted
    return log_probs, likeliest


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
    for start in progress.bar(range(0, len(texts), BATCH), "scoring", "batches"):
        batch = slice(start, start + BATCH)
        values, hits = _log_probs(model, texts[batch], seen and seen[batch])
        log_probs[batch, : values.shape[1]], likeliest[batch, : hits.shape[1]] = values, hits
    return log_probs, likeliest


def score(model: MiniGPT, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the model makes of each sentence.

    For a row with alternatives: `correct_logp` and `rival_logp` are log P(form + closing symbol |
    prompt) of the correct form and of its likeliest rival, `margin` their difference, `chosen`
    whether it is positive, `exact` whether greedy decoding from the prompt writes the form and
    closes it. For every row: nats and symbols of the form and of the whole sentence.
    """
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return [
        result
        for batch in progress.bar(batches, "scoring", "batches")
        for result in _score_batch(model, batch)
    ]


def _score_batch(model: MiniGPT, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`score` in one forward pass: each sentence, and its rivals from where they part from it."""
    texts, seen, parents, shared = [], [], [], []
    for row in rows:
        sentence = row["text"] + data.BOUNDARY
        parents += [len(texts)] * (1 + len(row["alternatives"]))
        texts.append(sentence)
        seen.append(len(sentence))
        shared.append(0)
        for form in row["alternatives"]:
            rest = row["text"][len(row["prompt"]) + len(row["form"]) :]
            text, counted = data.completion(row["prompt"] + form + rest, row["prompt"], form)
            texts.append(text)
            seen.append(counted)
            # The boundary before both, and never the last symbol, which is only a target.
            shared.append(min(1 + len(commonprefix([sentence, text])), len(text)))
    log_probs, likeliest = _log_probs(model, texts, seen, parents, shared)

    scored = []
    at = 0
    for row in rows:
        form = slice(len(row["prompt"]), len(row["prompt"]) + len(row["form"]) + 1)
        correct = float(log_probs[at, form].sum())
        result: dict[str, Any] = {
            "correct_logp": correct,
            "rival": None,
            "rival_logp": None,
            "margin": None,
            "chosen": None,
            "exact": bool(likeliest[at, form].all()),
            "form_nats": -correct,
            "form_symbols": form.stop - form.start,
            "sentence_nats": -float(log_probs[at].sum()),
            "sentence_symbols": seen[at],
        }
        rivals = log_probs[at + 1 : at + 1 + len(row["alternatives"])].sum(1).tolist()
        at += 1 + len(rivals)
        if rivals:
            rival_logp, rival = max(zip(rivals, row["alternatives"], strict=True))
            margin = correct - rival_logp
            result |= {
                "rival": rival,
                "rival_logp": rival_logp,
                "margin": margin,
                "chosen": margin > 0,
            }
        scored.append(result)
    return scored


def held_out_rows(irregular: Path, control: Path) -> list[dict[str, Any]]:
    """The validation and test rows of both subsets, each with `set` = irregular or control."""
    rows = []
    for name, path in (("irregular", irregular), ("control", control)):
        columns = [c for c in COLUMNS if c not in ("set", "probe")]
        table = storage.read_table(path, [*columns, *(["probe"] if name == "irregular" else [])])
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
    storage.write_table(out, pa.Table.from_pylist(results))


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
    storage.write_table(out, pa.Table.from_pylist(results))
