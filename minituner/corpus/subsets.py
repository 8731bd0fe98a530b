"""The two test beds drawn from the corpus: irregular pasts to tune on, regular verbs as control.

Both hold correct sentences only. They inherit the corpus's splits by pair, so no prompt that is
tested was in any training, the base's included; each is tested once. A *cell* is a verb in a tense;
cells are filled as evenly as they go. The column `set` says what a sentence is for:

    irregular  to tune on, to choose on and, with new subject-and-time pairs, to report on
    seen       prompts that tuning saw, with other objects: not a test, but what one would look like
    subject    subjects that tuning never saw, in new pairs
    cell       a verb and tense that tuning never saw, in new pairs
    tenses     the irregular verbs' tenses that are no pasts, in new pairs
    control    regular verbs in all tenses
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

MOST = 200  # sentences of each set between the first and the last above
NEEDED = (
    "id text correct_text prompt correct_form verb_lemma tense person english_regularity frame "
    "pair split"
)
CELL = ["verb_lemma", "tense"]

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "text", "prompt", "form")]
    + [("alternatives", pa.list_(pa.string()))]
    + [
        (name, pa.string())
        for name in ("verb_lemma", "tense", "person", "frame", "pair", "split", "set")
    ]
)


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
    """The irregular subset and the control set, sorted by set and id.

    Args:
        table: correct sentences of the whole corpus, with `english_regularity` and `alternatives`.
        settings: the section `subsets`.
        source: the corpus's name, for messages.

    Raises:
        UserError: if there are too few sentences, or an unseen cell or subject does not exist.
    """
    seed = settings["seed"]
    split, regularity = pc.field("split"), pc.field("english_regularity")
    # A form that is not known to be said wrong has no rival, and nothing to repair.
    scored = table.filter(
        (regularity == "irregular") & (pc.list_value_length(pc.field("alternatives")) > 0)
    )
    pasts = scored.filter(pc.field("tense").isin(PASTS))
    in_unseen_cell = _any(
        pasts,
        {" ".join(cell): _is_cell(*cell) for cell in settings["unseen_cells"]},
        "unseen_cells",
        f"no irregular past of {source}; name an irregular verb and one of {', '.join(PASTS)}",
    )
    has_unseen_subject = _any(
        pasts,
        {s: pc.starts_with(pc.field("frame"), f"{s}|") for s in settings["unseen_subjects"]},
        "unseen_subjects",
        f"no subject that {source} has in frames like subject|object|time; name one that it has",
    )

    def take(pool: pa.Table, kind: str, where: str, name: str) -> pa.Table:
        pool, what = pool.filter(split == where), "sentences"
        if where != "train":
            pool, what = one_a_prompt(pool, seed, name), "prompts"
        if len(pool) < settings[name]:
            raise UserError(
                f"params.yaml: subsets.{name}: {settings[name]} wanted but {source} has "
                f"{len(pool)} such {what}; ask for fewer or enlarge corpus.splits.{where}"
            )
        return _called(kind, draw(pool, settings[name], seed, name))

    def further(pool: pa.Table, kind: str) -> pa.Table:
        return _called(kind, draw(one_a_prompt(pool, seed, kind), MOST, seed, kind))

    tuned = pasts.filter(~in_unseen_cell & ~has_unseen_subject)
    chosen = [take(tuned, "irregular", where, where) for where in ("train", "val", "test")]
    saw = pc.field("prompt").isin(chosen[0]["prompt"]) & ~pc.field("id").isin(chosen[0]["id"])
    tested = split == "test"
    chosen += [
        further(tuned.filter(saw), "seen"),
        further(pasts.filter(tested & has_unseen_subject & ~in_unseen_cell), "subject"),
        further(pasts.filter(tested & in_unseen_cell & ~has_unseen_subject), "cell"),
        further(
            scored.filter(tested & ~has_unseen_subject & ~pc.field("tense").isin(PASTS)), "tenses"
        ),
    ]
    regular = table.filter(regularity == "regular")
    control = [take(regular, "control", where, f"control_{where}") for where in ("val", "test")]
    order = [("set", "ascending"), ("id", "ascending")]
    return pa.concat_tables(chosen).sort_by(order), pa.concat_tables(control).sort_by(order)


def one_a_prompt(table: pa.Table, seed: int, *purpose: str) -> pa.Table:
    """One row for each prompt, drawn among those that have it: their scores are the same."""
    table = table.sort_by("id")
    shuffled = table.take(generator(seed, "subsets", *purpose, "objects").permutation(len(table)))
    return shuffled.take(np.unique(shuffled["prompt"].to_numpy(), return_index=True)[1])


def _any(
    pool: pa.Table, conditions: dict[str, pc.Expression], setting: str, problem: str
) -> pc.Expression:
    """Whether a row meets one of some conditions, each of which must hold for a row.

    Raises:
        UserError: naming the first that holds for none.
    """
    for i, (name, condition) in enumerate(conditions.items()):
        if not len(pool.filter(condition)):
            raise UserError(f"params.yaml: subsets.{setting}[{i}]: {name}: {problem}")
    return functools.reduce(operator.or_, conditions.values(), pc.scalar(False))


def _is_cell(verb: str, tense: str) -> pc.Expression:
    return (pc.field(CELL[0]) == verb) & (pc.field(CELL[1]) == tense)


def _called(name: str, table: pa.Table) -> pa.Table:
    return table.append_column("set", pa.repeat(name, len(table)))


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
    return tuple(t.select(SCHEMA.names).cast(SCHEMA).combine_chunks() for t in (irregular, control))


def read_irregular(
    path: Path, split: str, columns: tuple[str, ...] = ("text", "prompt", "form")
) -> list[dict[str, Any]]:
    """The irregular subset's rows in a split, none of another set; by default what tuning needs."""
    rows = parquet.read_table(path, [*dict.fromkeys((*columns, "split", "set"))]).to_pylist()
    return [row for row in rows if row["split"] == split and row["set"] == "irregular"]


def read_held_out(irregular: Path, control: Path) -> list[dict[str, Any]]:
    """The rows of both subsets that are scored: all but those to tune on.

    Raises:
        UserError: if there is none.
    """
    rows = [
        row
        for path in (irregular, control)
        for row in parquet.read_table(path, SCHEMA.names).to_pylist()
        if row["set"] != "irregular" or row["split"] != "train"
    ]
    if not rows:
        raise UserError(f"{irregular}: set: no sentence to score; make the subset again")
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
