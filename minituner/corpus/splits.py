"""Which split a sentence is in, so that nothing a model is tested on was read in any training.

What a causal model's score of a form depends on is the *prompt*: all that stands before the form.
So what is held out is not the sentence. Whatever shares a prompt, or a subject and time, hangs
together and goes into one split as a whole, called a `pair` after the usual case: a subject and a
time, with every verb and object.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from minituner.foundation.seeds import uniform

SPLITS = ("train", "val", "test")
FURTHER = ("seen", "subject", "cell", "tenses")  # sets reported beside the test's, see subsets.py


def connected(keys: Sequence[tuple[Hashable, ...]]) -> list[int]:
    """For each row the first row that it hangs together with, by keys in common, at any remove.

    Args:
        keys: for each row what it shares with others: they are the same if the keys are equal.
    """
    parents = list(range(len(keys)))

    def first(row: int) -> int:
        while parents[row] != row:
            parents[row] = row = parents[parents[row]]
        return row

    seen: dict[Hashable, int] = {}
    for row, own in enumerate(keys):
        for key in own:
            one, other = sorted((first(row), first(seen.setdefault(key, row))))
            parents[other] = one
    return [first(row) for row in range(len(keys))]


def hold_out(
    keys: Sequence[tuple[Hashable, ...]],
    names: Sequence[str],
    cells: Sequence[Hashable],
    seed: int,
    splits: dict[str, float],
) -> tuple[list[str], list[str]]:
    """The pair that each row belongs to, and its split.

    Args:
        keys: see `connected`.
        names: a name for each row; a pair is called by the first in the alphabet of its rows'.
        cells: for each row what every split is to have, its person and tense.
        seed: another seed, another assignment.
        splits: the share of each of `SPLITS`; they sum to 1.
    """
    firsts = connected(keys)
    pairs: dict[int, str] = {}
    cells_of = defaultdict(set)
    for first, name, cell in zip(firsts, names, cells, strict=True):
        pairs[first] = min(name, pairs.get(first, name))
        cells_of[first].add(cell)
    homes = assign({pairs[first]: frozenset(c) for first, c in cells_of.items()}, seed, splits)
    return [pairs[first] for first in firsts], [homes[pairs[first]] for first in firsts]


def assign(cells: dict[str, frozenset], seed: int, splits: dict[str, float]) -> dict[str, str]:
    """Each pair's split, shared out within each stratum: pairs with the same persons and tenses.

    So every split has each person in each tense, in the asked shares, as far as there are enough
    pairs: of three or more each split gets one. Strata of fewer are shared out together; if all
    together are two, training and test get one each.

    Args:
        cells: pair → the persons and tenses that it has.
        seed: another seed, another assignment.
        splits: the share of each of `SPLITS`; they sum to 1.
    """
    strata = defaultdict(list)
    for pair, own in cells.items():
        strata[own].append(pair)
    small = [pair for pairs in strata.values() if len(pairs) < 3 for pair in pairs]
    homes = {}
    for pairs in (small, *(pairs for pairs in strata.values() if len(pairs) > 2)):
        pairs.sort(key=lambda pair: (uniform(seed, "split", pair), pair))
        n = len(pairs)
        test, val = int(n == 2), 0
        if n > 2:
            test = min(max(round(n * splits["test"]), 1), n - 2)
            val = min(max(round(n * splits["val"]), 1), n - test - 1)
        for at, pair in enumerate(pairs):
            homes[pair] = "test" if at < test else "val" if at < test + val else "train"
    return homes
