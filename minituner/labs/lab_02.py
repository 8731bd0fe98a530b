"""Lab 02, fine-tune: its first step, and the list of all."""

from typing import Any

import torch
import torch.nn.functional as F

from minituner import data
from minituner.labs.checking import Step, Work, Wrong, same, tell
from minituner.labs.lab_02_loop import loop, prepared
from minituner.labs.lab_02_scores import chosen, forgotten, likelihood
from minituner.labs.lab_02_sweep import rates, sweep
from minituner.labs.lab_02_tiny import CONFIG, ROWS
from minituner.model import IGNORE


def misread(answer: Any, targets: torch.Tensor) -> None:
    """Tell what is wrong with the symbols themselves, which shows in the shape or in both tensors.

    Raises:
        Wrong: if they begin or end at another place than the right ones do.
    """
    if not all(isinstance(part, torch.Tensor) and part.dim() == 2 for part in answer):
        return
    fills, width = (0, IGNORE), targets.shape[1]
    padded = [
        F.pad(part, (0, width - part.shape[1]), value=fill)
        for part, fill in zip(answer, fills, strict=True)
    ]
    if answer[1].shape[1] > width and same(padded[1], targets):
        raise Wrong("sentence not cut off")
    texts, seen = map(list, zip(*data.completions(ROWS), strict=True))
    unclosed = data.batch([text[:-1] for text in texts], CONFIG.vocab, [n - 1 for n in seen])
    no_newline = data.batch([text[1:] for text in texts], CONFIG.vocab, seen)
    no_newline[0][:, 0] = torch.tensor(data.encode([text[0] for text in texts], CONFIG.vocab))
    wrong = {"closing symbol forgotten": unclosed, "newline in front forgotten": no_newline}
    for name, parts in wrong.items():
        parts = [F.pad(part, (0, 1), value=fill) for part, fill in zip(parts, fills, strict=True)]
        if all(map(same, padded, parts)):
            raise Wrong(name)


def mask(work: Work) -> None:
    """ids and targets."""
    answer = work.batch(ROWS, CONFIG.vocab)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong("", "batch must return two tensors, ids and targets")
    pairs = data.completions(ROWS)
    texts, seen = map(list, zip(*pairs, strict=True))
    ids, targets = data.batch(texts, CONFIG.vocab, seen)
    length = torch.tensor([len(text) for text in texts])[:, None]
    place, first = torch.arange(ids.shape[1]), length - torch.tensor(seen)[:, None]
    following = ids.roll(-1, 1)
    for i, text in enumerate(texts):
        following[i, len(text) - 1] = targets[i, len(text) - 1]

    def shown(begin: torch.Tensor, end: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        return torch.where((place >= begin) & (place < end), symbols, IGNORE)

    wrong = {
        "loss over the prompt": shown(0 * first, length, following),
        "mask one too early": shown(first - 1, length, following),
        "mask one too late": shown(first + 1, length, following),
        "closing symbol forgotten": shown(first, length - 1, following),
        "targets not shifted": shown(first, length, ids),
        "padding learnt": torch.where(place < length, targets, 0),
    }
    misread(answer, targets)
    tell(answer[1], targets, wrong, "targets")
    tell(answer[0], ids, {"targets not shifted": following.where(place < length, 0)}, "ids")
    for part, what in zip(answer, ("ids", "targets"), strict=True):
        if part.dtype != torch.int64:
            raise Wrong("", f"{what} are {part.dtype}, not int64")


STEPS = (
    Step("What the loss sees", "01-sft-and-forgetting.md: The loss", mask),
    Step("How likely a form is", "01-sft-and-forgetting.md: The loss", likelihood),
    Step("What was learnt", "00-motivation.md: What is asked, and the answer", chosen),
    Step("What was forgotten", "01-sft-and-forgetting.md: Forgetting", forgotten),
    Step("What is trained", "01-sft-and-forgetting.md: The gradient of an adapter", prepared),
    Step("The loop", "01-sft-and-forgetting.md: The gradient of an adapter", loop),
    Step("The rates", "01-sft-and-forgetting.md: Forgetting", rates),
    Step("The sweep and its picture", "01-sft-and-forgetting.md: What came out", sweep),
)
