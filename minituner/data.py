"""From sentences to tensors: the vocabulary, padding, and masks that show the loss a form only.

A sentence is framed by newlines, the symbol with id 0: `⏎go: yesterday she went to school.⏎`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from minituner.foundation.errors import UserError
from minituner.model import IGNORE

BOUNDARY = "\n"  # begins and ends each sentence; also the padding, which no loss looks at


def vocabulary(texts: Sequence[str]) -> str:
    """The boundary and then every character of `texts` in code-point order."""
    return BOUNDARY + "".join(sorted(set().union(*texts) - {BOUNDARY}))


def check_fits(texts: Iterable[str], context: int, source: object) -> None:
    """Refuse texts that a model cannot read as a whole, each with the boundary before it.

    Args:
        texts: sentences, or prompts with a form.
        context: the model's.
        source: where they are from, for the message.

    Raises:
        UserError: naming the longest, and what to set.
    """
    longest = max(texts, key=len, default="")
    if len(longest) >= context:
        raise UserError(
            f"{source}: text: {longest!r:.60} has {len(longest)} characters, but model.context = "
            f"{context} holds {context - 1}; train a base with model.context = {len(longest) + 1} "
            "or more, or shorten it"
        )


def encode(text: str, vocab: str) -> list[int]:
    """Ids of the characters of `text`.

    Raises:
        UserError: naming a character that the vocabulary lacks.
    """
    ids = [vocab.find(character) for character in text]
    if -1 in ids:
        character = text[ids.index(-1)]
        raise UserError(
            f"{text!r:.60}: the base does not know {character!r}; train a base on this corpus"
        )
    return ids


def completion(text: str, prompt: str, form: str) -> tuple[str, int]:
    """The part of a sentence that tuning needs, and how many of its last symbols the loss sees.

    That is the prompt, the form and the character that closes it (so that "go" differs from the
    start of "goed"). What follows cannot change the loss of a causal model, so it is cut off.
    """
    end = len(prompt) + len(form)
    closing = text[end : end + 1] or BOUNDARY
    return prompt + form + closing, len(form) + 1


def completions(rows: Iterable[dict[str, Any]]) -> list[tuple[str, int]]:
    """`completion` of each row of a subset, from its columns `text`, `prompt` and `form`."""
    return [completion(row["text"], row["prompt"], row["form"]) for row in rows]


def batch(
    texts: Sequence[str], vocab: str, seen: Sequence[int] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded ids and targets, both int64 (B, T).

    Args:
        texts: sentences or completions, without their leading boundary.
        vocab: see `vocabulary`.
        seen: for each text how many of its last symbols the loss sees; None adds the closing
            boundary to each text and shows all.

    Raises:
        UserError: if there is no text, or one holds a character that the vocabulary lacks.
    """
    if not texts:
        raise UserError("no sentence in a split; make the corpus and its subsets again")
    whole = seen is None
    rows = [encode(BOUNDARY + text + (BOUNDARY if whole else ""), vocab) for text in texts]
    width = max(len(row) for row in rows) - 1
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    targets = torch.full((len(rows), width), IGNORE, dtype=torch.int64)
    for i, row in enumerate(rows):
        n = len(row) - 1
        first = 0 if whole else n - seen[i]
        ids[i, :n] = torch.tensor(row[:-1])
        targets[i, first:n] = torch.tensor(row[1 + first :])
    return ids, targets


def index_batches(n: int, size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless batches of `size` indices below `n`: each epoch is a fresh shuffle, none is cut.

    Raises:
        UserError: if there is nothing to draw from.
    """
    pool = np.empty(0, dtype=np.int64)
    if not n:
        raise UserError("train: no sentence to learn from; enlarge the training split")
    while True:
        while len(pool) < size:
            pool = np.concatenate([pool, generator.permutation(n)])
        yield pool[:size]
        pool = pool[size:]
