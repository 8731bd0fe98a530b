"""Sequences of different lengths laid one behind the other: no padding is computed, and what two
sequences share at their start is computed once.
"""

import dataclasses
import functools
import math

import torch
import torch.nn.functional as F

from minituner.model import IGNORE

# Symbols are filled up to a multiple, so that products end in whole tiles: up to the second where
# there are fewer symbols than FEW, of which the first would be a good part.
ROWS, ROWS_OF_FEW, FEW = 32, 8, 512


@dataclasses.dataclass(frozen=True)
class Packed:
    """n symbols of S sequences, and which of them each sequence reads.

    The last of the n may be filling, which no sequence reads.

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


def _own(T: int, lengths: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    places = torch.arange(T)
    return (places >= first[:, None]) & (places < lengths[:, None])


def pack(
    ids: torch.Tensor,
    lengths: torch.Tensor | None = None,
    parents: torch.Tensor | None = None,
    first: torch.Tensor | None = None,
    multiple: int | None = None,
) -> Packed:
    """Lay sequences one behind the other.

    Args:
        ids: (S, T), int64, each sequence from its beginning.
        lengths: (S,), int64, how many symbols of each count; None for all.
        parents: (S,), int64: the sequence that the first symbols are shared with, which has them
            as its own.
        first: (S,), int64, how many symbols are shared; None for none.
        multiple: of which the number of symbols is, by some at the end that no sequence reads; None
            for that of `filling`.
    """
    S, T = ids.shape
    lengths = torch.full((S,), T) if lengths is None else lengths
    first = torch.zeros(S, dtype=torch.int64) if first is None else first
    own = _own(T, lengths, first)
    reads = torch.zeros(S, T, dtype=torch.int64)
    n = int(own.sum())
    reads[own] = torch.arange(n)
    if parents is not None:
        reads = torch.where(torch.arange(T) < first[:, None], reads[parents], reads)
    spare = (0, -n % (multiple or filling(n)))
    positions = torch.arange(T).expand(S, T)[own]
    return Packed(F.pad(ids[own], spare), F.pad(positions, spare), reads, lengths, first)


def filling(n: int) -> int:
    """The multiple that n symbols are filled up to."""
    return ROWS_OF_FEW if n < FEW else ROWS


def needed_lengths(targets: torch.Tensor) -> torch.Tensor:
    """(B, T) → (B,): how many symbols each sequence has up to its last target."""
    return ((targets != IGNORE) * torch.arange(1, targets.shape[1] + 1)).amax(1)


def needed(
    ids: torch.Tensor, targets: torch.Tensor
) -> tuple[Packed, torch.Tensor | None, torch.Tensor]:
    """The part of a batch that its loss depends on.

    Args:
        ids: (B, T), int64.
        targets: (B, T), int64, masked with `IGNORE`.

    Returns:
        Each sequence up to its last target, packed; the indices of the L symbols with a target
        among those, or None where nearly each has one; and their targets. To make both numbers
        multiples of `filling`, the last ones of either may be symbols whose target is `IGNORE`.
    """
    if (targets != IGNORE).all():
        return pack(ids, multiple=1), None, targets.flatten()
    lengths = needed_lengths(targets).clamp(min=1)
    packed = pack(ids[:, : int(lengths.max())], lengths)
    wanted = targets[:, : packed.reads.shape[1]][packed.own]
    looked = (wanted != IGNORE).nonzero().flatten()
    multiple = filling(len(packed.ids))
    rows = math.ceil(len(looked) / multiple) * multiple
    if rows >= len(packed.ids):
        return packed, None, _filled(wanted, len(packed.ids), IGNORE)
    return packed, _filled(looked, rows, 0), _filled(wanted[looked], rows, IGNORE)


def _filled(x: torch.Tensor, n: int, value: int) -> torch.Tensor:
    return F.pad(x, (0, n - len(x)), value=value)
