"""Sequences of different lengths laid one behind the other: no padding is computed, and what two
sequences share at their start is computed once.
"""

import dataclasses
import functools

import torch
import torch.nn.functional as F

# Symbols are filled up to a multiple of this, so that products end in whole tiles.
ROWS = 32


@dataclasses.dataclass(frozen=True)
class Packed:
    """n symbols of S sequences, and which of them each sequence reads; the last ones none may.

    Attributes:
        ids: (n,), int64.
        positions: (n,), int64, each symbol's place in its sequence.
        reads: (S, T), int64: where among the n each sequence's symbols lie; 0 behind its end.
        lengths: (S,), int64.
        first: (S,), int64: how many of its symbols a sequence only reads, since they are another's.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    reads: torch.Tensor
    lengths: torch.Tensor
    first: torch.Tensor

    @functools.cached_property
    def own(self) -> torch.Tensor:
        """(S, T), bool: the symbols that a sequence does not only read."""
        return _own(self.reads.shape[1], self.lengths, self.first)

    def padded(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C) → (S, T, C): what each sequence reads."""
        S, T = self.reads.shape
        return x.view(S, T, -1) if len(x) == S * T and self.own.all() else x[self.reads]

    def unpadded(self, x: torch.Tensor) -> torch.Tensor:
        """(S, T, C) → (n, C): each symbol's own row, zeros for those that none reads."""
        rows = x.flatten(0, 1) if self.own.all() else x[self.own]
        return F.pad(rows, (0, 0, 0, len(self.ids) - len(rows)))


def _own(T: int, lengths: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    places = torch.arange(T)
    return (places >= first[:, None]) & (places < lengths[:, None])


def pack(
    ids: torch.Tensor,
    lengths: torch.Tensor | None = None,
    parents: torch.Tensor | None = None,
    first: torch.Tensor | None = None,
    multiple: int = ROWS,
) -> Packed:
    """Lay sequences one behind the other.

    Args:
        ids: (S, T), int64, each sequence from its beginning.
        lengths: (S,), int64, how many symbols of each count; None for all.
        parents: (S,), int64: the sequence that the first symbols are shared with, which has them
            as its own.
        first: (S,), int64, how many symbols are shared; None for none.
        multiple: of which the number of symbols is, by some at the end that no sequence reads.
    """
    S, T = ids.shape
    lengths = torch.full((S,), T) if lengths is None else lengths
    first = torch.zeros(S, dtype=torch.int64) if first is None else first
    own = _own(T, lengths, first)
    reads = torch.zeros(S, T, dtype=torch.int64)
    reads[own] = torch.arange(int(own.sum()))
    if parents is not None:
        reads = torch.where(torch.arange(T) < first[:, None], reads[parents], reads)
    spare = (0, -int(own.sum()) % multiple)
    positions = torch.arange(T).expand(S, T)[own]
    return Packed(F.pad(ids[own], spare), F.pad(positions, spare), reads, lengths, first)
