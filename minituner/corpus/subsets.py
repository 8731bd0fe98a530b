"""The two test beds drawn from the corpus: irregular pasts to tune on, regular verbs as control.

Both hold correct sentences only. They inherit the corpus's splits by frame, so no test frame of
either was in any training. A *cell* is a verb in a tense; cells are filled as evenly as they go.
"""

import functools
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minituner.corpus.tables import read_verbs
from minituner.corpus.verbs import PASTS, Verb, alternatives
from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from minituner.foundation.seeds import generator

PROBE = 20  # sentences of each unseen cell in the probe, at most
NEEDED = (
    "id text correct_text prompt correct_form verb_lemma tense person english_regularity frame "
    "split"
)
CELL = ["verb_lemma", "tense"]

CONTROL_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "text", "prompt", "form")]
    + [("alternatives", pa.list_(pa.string()))]
    + [(name, pa.string()) for name in ("verb_lemma", "tense", "person", "frame", "split")]
)
IRREGULAR_SCHEMA = CONTROL_SCHEMA.append(pa.field("probe", pa.bool_()))
COLUMNS = [*IRREGULAR_SCHEMA.names, "set"]  # of a row that is scored


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


def draw(table: pa.Table, wanted: int, seed: int, *purpose: str) -> pa.Table:
    """`wanted` rows, spread evenly over their cells, drawn by a generator of their own a cell.

    Asking for more adds rows and drops none; fewer than `wanted` come back if there are no more.
    """
    table = table.sort_by([(name, "ascending") for name in (*CELL, "id")])
    counted = table.group_by(CELL).aggregate([([], "count_all")])
    cells = counted.sort_by([(name, "ascending") for name in CELL]).to_pylist()
    sizes = [cell["count_all"] for cell in cells]
    starts = np.cumsum([0, *sizes])
    order = generator(seed, "subsets", *purpose, "cells").permutation(len(cells))
    drawn = [np.empty(0, np.int64)]
    for i, quota in zip(order, quotas([sizes[i] for i in order], wanted), strict=True):
        name = [cells[i][column] for column in CELL]
        shuffled = generator(seed, "subsets", *purpose, *name).permutation(sizes[i])
        drawn.append(starts[i] + shuffled[:quota])
    return table.take(np.concatenate(drawn))


def select(table: pa.Table, settings: dict[str, Any], source: str) -> tuple[pa.Table, pa.Table]:
    """The irregular subset, with `probe`, and the control set, sorted by id.

    Args:
        table: correct sentences of the whole corpus, with `english_regularity` and `rivals`.
        settings: the section `subsets`.
        source: the corpus's name, for messages.

    Raises:
        UserError: if there are too few sentences, or an unseen cell does not exist.
    """
    seed, unseen = settings["seed"], {tuple(cell) for cell in settings["unseen_cells"]}
    regularity, split = pc.field("english_regularity"), pc.field("split")
    # A past that is not known to be said wrong has no rival, and nothing to repair.
    repairable = pc.field("tense").isin(PASTS) & (
        pc.list_value_length(pc.field("alternatives")) > 0
    )
    irregular = table.filter((regularity == "irregular") & repairable)
    cells = irregular.group_by(CELL).aggregate([]).to_pylist()
    for i, cell in enumerate(settings["unseen_cells"]):
        if dict(zip(CELL, cell, strict=True)) not in cells:
            raise UserError(
                f"params.yaml: subsets.unseen_cells[{i}]: {' '.join(cell)} is no irregular past of "
                f"the corpus; name an irregular verb and one of {', '.join(PASTS)}"
            )

    def take(pool: pa.Table, where: str, name: str) -> pa.Table:
        pool = pool.filter(split == where)
        if len(pool) < settings[name]:
            raise UserError(
                f"params.yaml: subsets.{name}: {settings[name]} wanted but {source} has "
                f"{len(pool)} such sentences; ask for fewer or enlarge corpus.splits.{where}"
            )
        return draw(pool, settings[name], seed, name)

    def is_in(cell: tuple[str, str]) -> pc.Expression:
        return (pc.field(CELL[0]) == cell[0]) & (pc.field(CELL[1]) == cell[1])

    held_back = functools.reduce(operator.or_, map(is_in, sorted(unseen)), pc.scalar(False))
    seen = irregular.filter(~held_back)
    chosen = [_marked(take(seen, where, where), False) for where in ("train", "val", "test")]
    for cell in sorted(unseen):
        held_out = irregular.filter(is_in(cell) & (split == "test"))
        chosen.append(_marked(draw(held_out, PROBE, seed, "probe"), True))
    regular = table.filter(regularity == "regular")
    control = [take(regular, "val", "control_val"), take(regular, "test", "control_test")]
    return pa.concat_tables(chosen).sort_by("id"), pa.concat_tables(control).sort_by("id")


def _marked(table: pa.Table, probe: bool) -> pa.Table:
    return table.append_column("probe", pa.repeat(probe, len(table)))


def draw_both(
    settings: dict[str, Any], corpus: Path, verbs: Path | None
) -> tuple[pa.Table, pa.Table]:
    """Draw the irregular subset and the control set, columns as in the schemas above.

    Args:
        settings: the section `subsets`.
        corpus: the corpus.
        verbs: the table that it was made from; None if it brings its own column `alternatives`.

    Raises:
        UserError: if the corpus cannot be read, does not go with the verbs, or is too small.
    """
    known = read_verbs(verbs) if verbs else None
    table = parquet.read_table(corpus, NEEDED.split() + ([] if known else ["alternatives"]))
    spelt = set().union(*("".join(chunk.to_pylist()) for chunk in table["text"].chunks))
    if known:
        table = _with_rivals(table, known, corpus)
    table = table.drop_columns(["text"])
    names = {"correct_text": "text", "correct_form": "form"}
    table = table.rename_columns([names.get(name, name) for name in table.column_names])
    irregular, control = select(table, settings, str(corpus))
    for rows in (irregular, control):
        for row in rows.select(["text", "alternatives"]).to_pylist():
            for form in [row["text"], *row["alternatives"]]:
                if not spelt.issuperset(form):
                    raise UserError(
                        f"{corpus}: {form!r}: no sentence of the corpus has the character "
                        f"{min(set(form) - spelt)!r}, so no base can spell it; choose another "
                        "form, or let some sentence hold it"
                    )
    return _as(IRREGULAR_SCHEMA, irregular), _as(CONTROL_SCHEMA, control)


def _as(schema: pa.Schema, table: pa.Table) -> pa.Table:
    return table.select(schema.names).cast(schema).combine_chunks()


def read_irregular(
    path: Path, split: str, columns: tuple[str, ...] = ("text", "prompt", "form")
) -> list[dict[str, Any]]:
    """The irregular subset's rows in a split, probes left out; by default what tuning needs."""
    rows = parquet.read_table(path, [*columns, "split", "probe"]).to_pylist()
    return [row for row in rows if row["split"] == split and not row["probe"]]


def read_held_out(irregular: Path, control: Path) -> list[dict[str, Any]]:
    """The validation and test rows of both subsets, each with `set` = irregular or control.

    Raises:
        UserError: if there is none.
    """
    rows = []
    for name, path in (("irregular", irregular), ("control", control)):
        schema = IRREGULAR_SCHEMA if name == "irregular" else CONTROL_SCHEMA
        rows += [
            {"probe": False, **row, "set": name}
            for row in parquet.read_table(path, schema.names).to_pylist()
            if row["split"] in ("val", "test")
        ]
    if not rows:
        raise UserError(f"{irregular}: split: no sentence in val or test; make the subset again")
    return rows


def _with_rivals(table: pa.Table, verbs: dict[str, Verb], corpus: Path) -> pa.Table:
    """The corpus with what each form is to be told from, looked up once for each kind of row."""
    columns = [*CELL, "person", "correct_form"]
    kinds = pc.binary_join_element_wise(*(table[name] for name in columns), "\x1f")
    kinds = pa.chunked_array(kinds.chunks, pa.string()).combine_chunks().dictionary_encode()
    first = np.unique(kinds.indices.to_numpy(), return_index=True)[1]
    rivals = [_rivals(row, verbs, corpus) for row in table.select(columns).take(first).to_pylist()]
    rivals = pa.array(rivals, pa.list_(pa.string())).take(kinds.indices)
    return table.append_column("alternatives", rivals)


def _rivals(row: dict[str, str], verbs: dict[str, Verb], corpus: Path) -> list[str]:
    lemma, tense, person = row["verb_lemma"], row["tense"], row["person"]
    form = row["correct_form"]
    try:
        same = verbs[lemma].form(tense, person) == form
    except (KeyError, ValueError):
        same = False
    if not same:
        raise UserError(
            f"{corpus}: correct_form: {form!r:.60} for {lemma!r:.60} in {tense!r:.60}, "
            f"{person!r:.60}, is not what the verbs file says; make the corpus again"
        )
    return list(alternatives(verbs[lemma], tense, person).values())
