"""The learner-English corpus: every verb in every tense and frame, some of them mis-conjugated.

A sentence is `lemma: time subject form object.`; its frame is `subject|object|time`. Nothing is
drawn in sequence: whether a sentence is spoilt follows from the seed and its id, and the split it
is in from the seed and its pair (see splits.py), so neither moves when verbs are added.
"""

import difflib
import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa

from minituner.corpus import own_sentences
from minituner.corpus.splits import SPLITS, hold_out
from minituner.corpus.tables import Templates, read_templates, read_verbs
from minituner.corpus.verbs import PERSONS, TENSES, Verb, alternatives
from minituner.foundation.errors import UserError
from minituner.foundation.seeds import uniform

MAX_SENTENCES = 2_000_000  # some 1 GB while they are made

STRINGS = (
    "id text verb_lemma tense person english_regularity label mis_conjugation_type "
    "correct_form form prompt correct_text frame pair split"
)
SCHEMA = pa.schema([(name, pa.string()) for name in STRINGS.split()] + [("seed", pa.int64())])
ALTERNATIVES = pa.field("alternatives", pa.list_(pa.string()))  # of a corpus without a verbs.csv


def spoil(wrong: dict[str, str], noise: dict[str, float], at: float) -> str | None:
    """The mistake that one draw `at` in [0, 1) makes, if any, among those a cell can have."""
    for mistake in wrong:
        at -= noise.get(mistake, 0.0)
        if at < 0:
            return mistake
    return None


def generate(settings: dict[str, Any], verbs: dict[str, Verb], templates: Templates) -> pa.Table:
    """All sentences, ordered by verb, tense and person, then as the files list them.

    Args:
        settings: the section `corpus`, whose `templates` is only named in messages.
        verbs: see `read_verbs`.
        templates: see `read_templates`.

    Raises:
        UserError: if the probabilities of one cell's mistakes sum to more than 1, or there are too
            many sentences.
    """
    total = sum(
        len(templates.subjects[person]) * len(templates.objects[lemma]) * len(times)
        for lemma in verbs
        for person in PERSONS
        for times in templates.times.values()
    )
    if total > MAX_SENTENCES:
        raise UserError(
            f"{settings['templates']}: text: makes {total} sentences; use fewer subjects, objects "
            f"or times, for at most {MAX_SENTENCES}"
        )
    # A cell at a time: as Arrow's columns a sentence takes a tenth of what its dict takes.
    cells = []
    for verb, tense, person in itertools.product(verbs.values(), TENSES, PERSONS):
        wrong = alternatives(verb, tense, person)
        _check_noise(wrong, settings["noise"], verb, tense)
        rows = [
            _sentence(
                verb, tense, person, parts, templates.around(tense, person, parts), wrong, settings
            )
            for parts in itertools.product(
                templates.subjects[person], templates.objects[verb.lemma], templates.times[tense]
            )
        ]
        cells.append(pa.Table.from_pylist(rows, SCHEMA))
    return _with_splits(pa.concat_tables(cells).combine_chunks(), settings)


def _with_splits(table: pa.Table, settings: dict[str, Any]) -> pa.Table:
    """The sentences with the pair that each belongs to, and its split.

    Raises:
        UserError: if a split would lack a person in a tense.
    """
    columns = [table[name].to_pylist() for name in ("prompt", "pair", "person", "tense")]
    kinds = list(dict.fromkeys(zip(*columns, strict=True)))
    keys = [(("prompt", prompt), ("pair", pair)) for prompt, pair, *_ in kinds]
    names, cells = [kind[1] for kind in kinds], [kind[2:] for kind in kinds]
    pairs, homes = hold_out(keys, names, cells, settings["seed"], settings["splits"])
    for cell in dict.fromkeys(cells):
        if len({home for home, own in zip(homes, cells, strict=True) if own == cell}) < len(SPLITS):
            raise UserError(
                f"{settings['templates']}: subject: too few beginnings of a sentence for {cell[0]} "
                f"in {cell[1]}: each split needs one that no other has; add subjects or times, or "
                "put the time before the form"
            )
    made = dict(zip(kinds, zip(pairs, homes, strict=True), strict=True))
    found = [made[kind] for kind in zip(*columns, strict=True)]
    for name, values in zip(("pair", "split"), zip(*found, strict=True), strict=True):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, SCHEMA.field(name), pa.array(values, pa.string()))
    return table


def _sentence(
    verb: Verb,
    tense: str,
    person: str,
    parts: tuple[str, str, str],
    around: tuple[str, str],
    wrong: dict[str, str],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """One row of the corpus from its subject, object and time: spoilt or not, in no split yet."""
    frame = "|".join(parts)
    seed, name = settings["seed"], f"{verb.lemma}|{tense}|{frame}"
    prompt, behind = f"{verb.lemma}: {around[0]}", around[1]
    correct = verb.form(tense, person)
    mistake = spoil(wrong, settings["noise"], uniform(seed, "noise", name))
    form = wrong[mistake] if mistake else correct
    return {
        "id": name,
        "text": f"{prompt}{form}{behind}",
        "verb_lemma": verb.lemma,
        "tense": tense,
        "person": person,
        "english_regularity": "regular" if verb.regular else "irregular",
        "label": "mis_conjugated" if mistake else "correct",
        "mis_conjugation_type": mistake,
        "correct_form": correct,
        "form": form,
        "prompt": prompt,
        "correct_text": f"{prompt}{correct}{behind}",
        "frame": frame,
        "pair": f"{parts[0]}|{parts[2]}",
        "seed": seed,
    }


def from_tables(settings: dict[str, Any], verbs: Path, templates: Path) -> pa.Table:
    """The corpus from two CSV files, one row a sentence, columns as in `SCHEMA`.

    Args:
        settings: the section `corpus`.
        verbs: path of verbs.csv.
        templates: path of templates.csv.

    Raises:
        UserError: see `read_verbs`, `read_templates` and `generate`.
    """
    known = read_verbs(verbs)
    section = settings | {"templates": templates}
    _check_noise_names(known, section["noise"], verbs)
    return generate(section, known, read_templates(templates, known))


def from_sentences(settings: dict[str, Any], file: Path) -> pa.Table:
    """The corpus from a file of sentences, with the further column `alternatives`.

    Args:
        settings: the section `corpus`, of which `seed` and `splits` count.
        file: see `own_sentences.read`.

    Raises:
        UserError: see `own_sentences.read` and `own_sentences.split`.
    """
    rows = own_sentences.read(file)
    own_sentences.split(rows, file, settings["seed"], settings["splits"])
    return pa.Table.from_pylist(rows, SCHEMA.append(ALTERNATIVES))


def _check_noise_names(verbs: dict[str, Verb], noise: dict[str, float], path: Path) -> None:
    """Each probability belongs to a mistake; a mistake without one is a mere rival."""
    mistakes = sorted({mistake for verb in verbs.values() for mistake in verb.wrong})
    for name in noise:
        if name not in mistakes:
            near = difflib.get_close_matches(name, mistakes, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(
                f"params.yaml: corpus.noise.{name}: no such mistake in {path}; "
                f"{hint}choose among {', '.join(mistakes)}"
            )


def _check_noise(wrong: dict[str, str], noise: dict[str, float], verb: Verb, tense: str) -> None:
    kinds = [mistake for mistake in wrong if mistake in noise]
    total = sum(noise[mistake] for mistake in kinds)
    if total > 1 + 1e-9:
        raise UserError(
            f"params.yaml: corpus.noise: {' + '.join(kinds)} = {total:g} for {verb.lemma} in "
            f"{tense}; lower them to 1 in all"
        )
