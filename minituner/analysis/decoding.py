"""What a model writes by itself: greedy continuations, and its likeliest next words."""

import heapq

import torch

from minituner import data
from minituner.foundation.errors import UserError
from minituner.foundation.numerics import exponential
from minituner.model import MiniGPT

ENDS = (" ", ".", data.BOUNDARY)  # characters that close a word


def encode_prompt(model: MiniGPT, prompt: str) -> list[int]:
    """Ids of the boundary and the prompt.

    Raises:
        UserError: if the model does not know a character, or the prompt fills its context.
    """
    ids = data.encode(data.BOUNDARY + prompt, model.config.vocab)
    if len(ids) > model.config.context:
        most = model.config.context - 1
        raise UserError(f"{prompt!r}: {len(prompt)} characters; use at most {most}")
    return ids


@torch.no_grad()
def next_log_probs(model: MiniGPT, ids: list[int]) -> torch.Tensor:
    """Log-probabilities (V,) of the symbol after `ids`, float64."""
    return torch.log_softmax(model(torch.tensor([ids]))[0, -1].double(), dim=-1)


def greedy(model: MiniGPT, prompt: str) -> str:
    """What follows the prompt when the likeliest symbol is taken each time, up to the boundary."""
    ids = encode_prompt(model, prompt)
    start = len(ids)
    while len(ids) < model.config.context:
        symbol = int(next_log_probs(model, ids).argmax())
        if model.config.vocab[symbol] == data.BOUNDARY:
            break
        ids.append(symbol)
    return "".join(model.config.vocab[i] for i in ids[start:])


def next_words(model: MiniGPT, prompt: str, n: int, visits: int = 400) -> dict[str, float]:
    """The model's `n` likeliest next words and their probabilities, each with its closing symbol.

    Best first: the likeliest unfinished word is always extended next, so words come out in order;
    `visits` bounds the work where no word is likely.
    """
    start = encode_prompt(model, prompt)
    vocab, words = model.config.vocab, {}
    queue: list[tuple[float, str, bool]] = [(0.0, "", False)]
    while queue and len(words) < n and visits:
        cost, text, closed = heapq.heappop(queue)
        if closed:
            words[text] = words.get(text, 0.0) + float(exponential(-cost))
            continue
        visits -= 1
        ids = start + data.encode(text, vocab)
        if len(ids) > model.config.context:
            continue
        for symbol, value in zip(vocab, next_log_probs(model, ids).tolist(), strict=True):
            if symbol not in ENDS:
                heapq.heappush(queue, (cost - value, text + symbol, False))
            elif text:
                heapq.heappush(queue, (cost - value, text, True))
    return words
