"""What a model makes of held-out sentences: forced choice, exact match and perplexity.

Every number here is a sum of log-probabilities in nats. Intervals over many rows, pairs and seeds
are made from them elsewhere (analysis/).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from minituner import data
from minituner.foundation import progress
from minituner.model import IGNORE, MiniGPT

BATCH = 128  # sentences scored at a time

Scores = tuple[torch.Tensor, torch.Tensor]
Score = Callable[[list[str], list[str]], Scores]  # of prompts and forms, as `score` of one model


@torch.no_grad()
def score(model: MiniGPT, prompts: list[str], forms: list[str]) -> Scores:
    """Log-probability of each symbol of a form behind its prompt, and whether it is the likeliest.

    Each candidate has a forward pass of its own.

    Args:
        model: the model to ask.
        prompts: N beginnings of a sentence, without the leading boundary; they may be empty.
        forms: N continuations.

    Returns:
        Two (N, T) tensors, float64 and bool, T the length of the longest prompt and form together.
        A form's symbols are where they are in the text; all other places are 0 and True.
    """
    T = max(len(prompt + form) for prompt, form in zip(prompts, forms, strict=True))
    log_probs = torch.zeros(len(prompts), T, dtype=torch.float64)
    likeliest = torch.ones(len(prompts), T, dtype=torch.bool)
    for i, (prompt, form) in enumerate(zip(prompts, forms, strict=True)):
        ids = torch.tensor(data.encode(data.BOUNDARY + prompt + form, model.config.vocab))
        logits = model(ids[None, :-1])[0, len(prompt) :]  # (symbols of the form, V)
        wanted = ids[1 + len(prompt) :]
        place = slice(len(prompt), len(prompt) + len(form))
        log_probs[i, place] = F.log_softmax(logits, -1).gather(1, wanted[:, None])[:, 0].double()
        likeliest[i, place] = logits.argmax(-1) == wanted
    return log_probs, likeliest


def score_rows(score: Score, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a model makes of each row of the subsets.

    For a row with alternatives: `correct_logp` and `rival_logp` are log P(form + closing symbol |
    prompt) of the correct form and of its likeliest rival, `margin` their difference, `chosen`
    whether it is positive, `exact` whether greedy decoding from the prompt writes the form and
    closes it. For every row: nats and symbols of the form and of the whole sentence.

    Args:
        score: of the model, for instance `functools.partial(evaluate.score, model)`.
        rows: with `text`, `prompt`, `form` and `alternatives`.
    """
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return [
        result
        for batch in progress.bar(batches, "scoring", "batches")
        for result in _score_batch(score, batch)
    ]


def _score_batch(score: Score, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`score_rows` of a few: each whole sentence as one form, and behind it the row's rivals."""
    prompts, forms = [], []
    for row in rows:
        prompts += ["", *(row["prompt"] for _ in row["alternatives"])]
        forms.append(row["text"] + data.BOUNDARY)
        behind = row["text"][len(row["prompt"]) + len(row["form"]) :]
        for rival in row["alternatives"]:
            text = row["prompt"] + rival + behind
            forms.append(data.completion(text, row["prompt"], rival)[0][len(row["prompt"]) :])
    log_probs, likeliest = score(prompts, forms)

    results = []
    at = 0
    for row in rows:
        form = slice(len(row["prompt"]), len(row["prompt"]) + len(row["form"]) + 1)
        correct = math.fsum(log_probs[at, form].tolist())
        result: dict[str, Any] = {
            "correct_logp": correct,
            "rival": None,
            "rival_logp": None,
            "margin": None,
            "chosen": None,
            "exact": bool(likeliest[at, form].all()),
            "form_nats": -correct,
            "form_symbols": form.stop - form.start,
            "sentence_nats": -math.fsum(log_probs[at].tolist()),
            "sentence_symbols": len(row["text"]) + 1,
        }
        behind = log_probs[at + 1 : at + 1 + len(row["alternatives"])]
        rivals = list(map(math.fsum, behind.tolist()))
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
        results.append(result)
    return results


@torch.no_grad()
def logits(model: MiniGPT, texts: list[str]) -> torch.Tensor:
    """What a model expects at every symbol of some sentences: (N, V), N symbols in all."""
    parts = []
    for start in range(0, len(texts), BATCH):
        ids, targets = data.batch(texts[start : start + BATCH], model.config.vocab)
        parts.append(model(ids)[targets != IGNORE])  # padding left out
    return torch.cat(parts)


def logit_difference(first: torch.Tensor, second: torch.Tensor) -> dict[str, float]:
    """How far two models' logits are apart, both (N, V), see `logits`.

    `mean_abs` and `max_abs` of the difference; `relative`: its Frobenius norm over the first's.
    """
    first, second = first.double(), second.double()
    difference = (second - first).abs()
    squares, reference = (math.fsum(x.square().flatten().tolist()) for x in (difference, first))
    return {
        "mean_abs": math.fsum(difference.flatten().tolist()) / difference.numel(),
        "max_abs": float(difference.max()),
        "relative": math.sqrt(squares / reference),
    }
