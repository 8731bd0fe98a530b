"""The two test beds drawn from the corpus: irregular pasts to tune on, regular verbs as control.

Both hold correct sentences only. They inherit the corpus's splits by frame, so no test frame of
either was in any training. A *cell* is a verb in a tense; cells are filled as evenly as they go.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from minituner import files
from minituner.errors import UserError
from minituner.grammar import PASTS, Verb, alternatives
from minituner.rng import generator
from minituner.tables import read_verbs

PROBE = 20  # sentences of each unseen cell in the probe, at most
NEEDED = (
    "id text correct_text prompt correct_form verb_lemma tense person english_regularity frame "
    "split"
)
Row = dict[str, Any]

CONTROL_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "text", "prompt", "form")]
    + [("alternatives", pa.list_(pa.string()))]
    + [(name, pa.string()) for name in ("verb_lemma", "tense", "person", "frame", "split")]
)
IRREGULAR_SCHEMA = CONTROL_SCHEMA.append(pa.field("probe", pa.bool_()))


def quotas(available: list[int], wanted: int) -> list[int]:
    """How many to take from each cell so that the smallest shares are as large as they can be.

    Cells that hold too few give all they have; earlier cells get the remainder.
    """
    taken = [0] * len(available)
    left = min(wanted, sum(available))
    while left:
        for i, most in enumerate(available):
            if left and taken[i] < most:
                taken[i] += 1
                left -= 1
    return taken


def draw(rows: list[Row], wanted: int, seed: int, *purpose: str) -> list[Row]:
    """`wanted` rows, spread evenly over their cells, drawn by a generator of their own a cell.

    Asking for more adds rows and drops none; fewer than `wanted` come back if there are no more.
    """
    cells = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["id"]):
        cells[_cell(row)].append(row)
    names = sorted(cells)
    order = generator(seed, "subsets", *purpose, "cells").permutation(len(names))
    names = [names[i] for i in order]
    drawn = []
    for name, quota in zip(names, quotas([len(cells[n]) for n in names], wanted), strict=True):
        shuffled = generator(seed, "subsets", *purpose, *name).permutation(len(cells[name]))
        drawn += [cells[name][i] for i in shuffled[:quota]]
    return drawn


def select(rows: list[Row], settings: dict[str, Any], source: str) -> tuple[list[Row], list[Row]]:
    """The irregular subset and the control set, sorted by id.

    Args:
        rows: correct sentences of the whole corpus, with `english_regularity`.
        settings: the section `subsets`.
        source: the corpus's name, for messages.

    Raises:
        UserError: if there are too few sentences, or an unseen cell does not exist.
    """
    seed = settings["seed"]
    # A past that is not known to be said wrong has no rival, and nothing to repair.
    irregular = [
        row
        for row in rows
        if row["english_regularity"] == "irregular"
        and row["tense"] in PASTS
        and row["alternatives"]
    ]
    regular = [row for row in rows if row["english_regularity"] == "regular"]
    cells = {_cell(row) for row in irregular}
    unseen = {tuple(cell) for cell in settings["unseen_cells"]}
    for i, cell in enumerate(settings["unseen_cells"]):
        if tuple(cell) not in cells:
            raise UserError(
                f"params.yaml: subsets.unseen_cells[{i}]: {' '.join(cell)} is no irregular past of "
                f"the corpus; name an irregular verb and one of {', '.join(PASTS)}"
            )

    def take(pool: list[Row], split: str, name: str) -> list[Row]:
        pool = [row for row in pool if row["split"] == split]
        if len(pool) < settings[name]:
            raise UserError(
                f"params.yaml: subsets.{name}: {settings[name]} wanted but {source} has "
                f"{len(pool)} such sentences; ask for fewer or enlarge corpus.splits.{split}"
            )
        return draw(pool, settings[name], seed, name)

    seen = [row for row in irregular if _cell(row) not in unseen]
    chosen = [
        row | {"probe": False}
        for split in ("train", "val", "test")
        for row in take(seen, split, split)
    ]
    for cell in sorted(unseen):
        held_out = [row for row in irregular if row["split"] == "test" and _cell(row) == cell]
        chosen += [row | {"probe": True} for row in draw(held_out, PROBE, seed, "probe")]
    control = take(regular, "val", "control_val") + take(regular, "test", "control_test")
    return sorted(chosen, key=_id), sorted(control, key=_id)


def build(
    settings: dict[str, Any], corpus: Path, verbs: Path | None, irregular: Path, control: Path
) -> None:
    """Draw both sets from the corpus and write them as Parquet, columns as in the schemas above.

    Args:
        settings: the section `subsets` under its name.
        corpus: the corpus.
        verbs: the table that it was made from; None if it brings its own column `alternatives`.
        irregular: path of the one set.
        control: path of the other.

    Raises:
        UserError: if the corpus cannot be read, does not go with the verbs, or is too small.
    """
    known = read_verbs(verbs) if verbs else None
    table = files.read_table(corpus, NEEDED.split() + ([] if known else ["alternatives"]))
    spelt = set().union(*table["text"].to_pylist())
    rows = [_row(row, known, corpus) for row in table.to_pylist()]
    chosen, controls = select(rows, settings["subsets"], str(corpus))
    for row in chosen + controls:
        for form in [row["text"], *row["alternatives"]]:
            if not spelt.issuperset(form):
                raise UserError(
                    f"{corpus}: {form!r}: no sentence of the corpus has the character "
                    f"{min(set(form) - spelt)!r}, so no base can spell it; choose another form, or "
                    "let some sentence hold it"
                )
    files.write_table(irregular, pa.Table.from_pylist(chosen, IRREGULAR_SCHEMA))
    files.write_table(control, pa.Table.from_pylist(controls, CONTROL_SCHEMA))
    print(f"{irregular}: {len(chosen)} sentences; {control}: {len(controls)}")


def _row(row: Row, verbs: dict[str, Verb] | None, corpus: Path) -> Row:
    """A corpus row turned into its correct sentence, with what the form is to be told from."""
    if verbs is None:
        return row | {"text": row.pop("correct_text"), "form": row.pop("correct_form")}
    lemma, tense, person = row["verb_lemma"], row["tense"], row["person"]
    form = row.pop("correct_form")
    try:
        same = verbs[lemma].form(tense, person) == form
    except (KeyError, ValueError):
        same = False
    if not same:
        raise UserError(
            f"{corpus}: correct_form: {form!r:.60} for {lemma!r:.60} in {tense!r:.60}, "
            f"{person!r:.60}, is not what the verbs file says; make the corpus again"
        )
    wrong = alternatives(verbs[lemma], tense, person)
    return row | {
        "text": row.pop("correct_text"),
        "form": form,
        "alternatives": list(wrong.values()),
    }


def _cell(row: Row) -> tuple[str, str]:
    return row["verb_lemma"], row["tense"]


def _id(row: Row) -> str:
    return row["id"]
