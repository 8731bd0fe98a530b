"""A MiniGPT computed by compiled loops, put on from outside: the model does not know of it.

Sequences are packed, so that no padding is computed; behind the last block's attention only the
symbols that are looked at go on. What the loops do not know, the model's own modules compute.
"""

import sys
from os.path import commonprefix
from typing import Any

import torch
import torch.nn.functional as F

from minituner import data
from minituner.compute import known, step
from minituner.compute.kernels import ends
from minituner.compute.sequences import needed, needed_lengths, pack
from minituner.compute.setup import drawn_key
from minituner.model import IGNORE, MiniGPT


class Accelerated:
    """What a MiniGPT computes, fast; all else is the model's own, its parameters for instance.

    Args:
        model: stays as it is, and is what is trained.
    """

    def __init__(self, model: MiniGPT):
        self.model = model
        self._said: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        """The model's."""
        if name in ("model", "_said"):  # while a copy is being made, which has none yet
            raise AttributeError(name)
        return getattr(self.model, name)

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """The model's logits, (B, T, V), for ids (B, T)."""
        if torch.compiler.is_compiling():  # which cannot look into the loops
            return self.model(ids)
        try:
            numbers = self._numbers(ids)
        except known.Unknown as reason:
            self._say(reason)
            return self.model(ids)
        batch = step.Batch(pack(ids, multiple=1), key=_key(numbers))
        return step.run(numbers, batch).view(*ids.shape, -1)

    def loss(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The model's loss, a scalar, for ids and targets (B, T).

        What no target needs is not computed: padding, what lies behind a sentence's last target,
        which a causal model cannot see from before, and the last layers where there is no target.
        """
        if torch.compiler.is_compiling():
            return self.model.loss(ids, targets)
        try:
            numbers = self._numbers(ids)
            known.check_targets(targets, ids, len(numbers.tensors[numbers.tokens]))
        except known.Unknown as reason:
            self._say(reason)
            return self.model.loss(ids, targets)
        return step.run(numbers, step.Batch(*needed(ids, targets), key=_key(numbers)))

    def sizes(self, ids: torch.Tensor, targets: torch.Tensor) -> tuple[int, int]:
        """How many symbols `loss` computes, and at how many of them it looks."""
        sequences, _, wanted = needed(ids, targets)
        return len(sequences.ids), len(wanted)

    @torch.no_grad()
    def score(self, prompts: list[str], forms: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """`evaluate.score` in one forward pass; what forms share is computed once."""
        texts = [prompt + form for prompt, form in zip(prompts, forms, strict=True)]
        ids, targets = data.batch(texts, self.model.config.vocab, list(map(len, forms)))
        log_probs = torch.zeros(ids.shape, dtype=torch.float64)
        likeliest = torch.ones(ids.shape, dtype=torch.bool)
        is_form = targets != IGNORE
        wanted = targets[is_form]
        try:
            numbers = self._numbers(ids)
        except known.Unknown as reason:
            self._say(reason)
            logits = self.model(ids)[is_form]
            by_symbol = F.log_softmax(logits, -1).gather(1, wanted[:, None])[:, 0].double()
            log_probs[is_form], likeliest[is_form] = by_symbol, logits.argmax(-1) == wanted
            return log_probs, likeliest
        lengths, (parents, shared) = needed_lengths(targets), shared_starts(prompts, texts)
        # A text whose form is empty is not computed, so nothing of it can be shared.
        sequences = pack(ids, lengths, parents, torch.minimum(shared, lengths[parents]))
        logits = step.run(numbers, step.Batch(sequences, key=_key(numbers)))
        rows = logits[sequences.reads[is_form]].numpy()
        by_symbol = ends.choices(rows, wanted.numpy())
        log_probs[is_form], likeliest[is_form] = map(torch.from_numpy, by_symbol)
        return log_probs, likeliest

    def _numbers(self, ids: torch.Tensor) -> known.Numbers:
        """The model's numbers, once all is known to be as the loops take it.

        Raises:
            known.Unknown: if something is not.
        """
        known.check_surroundings()
        numbers = known.Numbers(self.model)
        symbols, longest = (
            len(numbers.tensors[place]) for place in (numbers.tokens, numbers.positions)
        )
        known.check_ids(ids, symbols, min(longest, self.model.config.context))
        return numbers

    def _say(self, reason: known.Unknown) -> None:
        """Put down, once, why PyTorch's modules compute."""
        if str(reason) not in self._said:
            self._said.add(str(reason))
            print(f"minituner: computed by PyTorch's modules: {reason}", file=sys.stderr)


def _key(numbers: known.Numbers) -> int:
    """What decides dropout's zeros, if anything is dropped."""
    layers = (part for block in numbers.blocks for part in block)
    return drawn_key() if any(getattr(layer, "dropout", 0) for layer in layers) else 0


def shared_starts(prompts: list[str], texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """For each text the one whose beginning it shares, and how many symbols of it; both (N,).

    A text that begins with the same prompt as the last one that stands alone shares its beginning,
    the boundary before both included.
    """
    parents, shared = [], []
    for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        whole = texts[parents[-1]] if parents else ""
        if prompt and whole.startswith(prompt):
            parents.append(parents[-1])
            # No more than either has as inputs: the last symbol of a text is only a target.
            shared.append(min(1 + len(commonprefix([whole, text])), len(text), len(whole)))
        else:
            parents.append(i)
            shared.append(0)
    return torch.tensor(parents), torch.tensor(shared)
