"""The learner-English corpus: every verb in every tense and frame, some of them mis-conjugated.

A sentence is `lemma: time subject form object.`; its frame is `subject|object|time`. Nothing is
drawn in sequence: whether a sentence is spoilt follows from the seed and its id, and the split it
is in from the seed and its frame, so neither moves when verbs or templates are added.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from minituner import files
from minituner.errors import UserError
from minituner.grammar import (
    MISTAKES,
    TENSES,
    Templates,
    Verb,
    alternatives,
    auxiliary,
    read_templates,
    read_verbs,
)
from minituner.rng import derive_seed

MAX_LENGTH = 60  # characters; with its two line ends a sentence fits a context of 64
MAX_SYMBOLS = 60  # different characters; the model's vocabulary holds at most 64
SPLITS = ("train", "val", "test")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("verb_lemma", pa.string()),
        ("tense", pa.string()),
        ("person", pa.string()),
        ("english_regularity", pa.string()),
        ("label", pa.string()),
        ("mis_conjugation_type", pa.string()),
        ("correct_form", pa.string()),
        ("form", pa.string()),
        ("prompt", pa.string()),
        ("correct_text", pa.string()),
        ("frame", pa.string()),
        ("split", pa.string()),
        ("seed", pa.int64()),
    ]
)


def uniform(seed: int, *purpose: object) -> float:
    """A number in [0, 1) that belongs to a seed and a purpose."""
    return (derive_seed(seed, *purpose) >> 10) / 2**53


def split_of(frame: str, seed: int, splits: dict[str, float]) -> str:
    """The split that a whole frame is in, from its own name alone.

    Args:
        frame: `subject|object|time`.
        seed: another seed, another assignment.
        splits: the expected share of each of `SPLITS`; they sum to 1.
    """
    at = uniform(seed, "split", frame)
    if at < splits["train"]:
        return "train"
    return "val" if at < splits["train"] + splits["val"] else "test"


def spoil(wrong: dict[str, str], noise: dict[str, float], at: float) -> str | None:
    """The mistake that one draw `at` in [0, 1) makes, if any, among those a cell can have."""
    for mistake in wrong:
        at -= noise.get(mistake, 0.0)
        if at < 0:
            return mistake
    return None


def generate(settings: dict[str, Any], verbs: dict[str, Verb], templates: Templates) -> pa.Table:
    """All sentences, sorted by verb, tense and frame as the files list them.

    Args:
        settings: the section `corpus`.
        verbs: see `read_verbs`.
        templates: see `read_templates`.

    Raises:
        UserError: if the probabilities of one cell's mistakes sum to more than 1, a sentence is
            too long or there are too many different characters.
    """
    seed, noise, splits = settings["seed"], settings["noise"], settings["splits"]
    rows = []
    for verb in verbs.values():
        for tense in TENSES:
            for subject, person in templates.subjects.items():
                correct = verb.form(tense, person)
                wrong = alternatives(verb, tense, person)
                _check_noise(wrong, noise, verb, tense)
                for complement in templates.objects[verb.lemma]:
                    for time in templates.times[tense]:
                        frame = f"{subject}|{complement}|{time}"
                        id_ = f"{verb.lemma}|{tense}|{frame}"
                        mistake = spoil(wrong, noise, uniform(seed, "noise", id_))
                        form = wrong[mistake] if mistake else correct
                        prompt = f"{verb.lemma}: {time} {subject} {auxiliary(tense, person)}"
                        widest = max([correct, *wrong.values()], key=len)
                        longest = f"{prompt}{widest} {complement}."
                        if len(longest) > MAX_LENGTH:
                            raise UserError(
                                f"{settings['templates']}: text: {longest!r} has {len(longest)} "
                                f"characters; shorten its parts to {MAX_LENGTH} in all"
                            )
                        rows.append(
                            (
                                id_,
                                f"{prompt}{form} {complement}.",
                                verb.lemma,
                                tense,
                                person,
                                "regular" if verb.regular else "irregular",
                                "mis_conjugated" if mistake else "correct",
                                mistake,
                                correct,
                                form,
                                prompt,
                                f"{prompt}{correct} {complement}.",
                                frame,
                                split_of(frame, seed, splits),
                                seed,
                            )
                        )
    table = pa.table(list(map(list, zip(*rows, strict=True))), schema=SCHEMA)
    symbols = set().union(*table["text"].to_pylist(), *table["correct_text"].to_pylist())
    if len(symbols) > MAX_SYMBOLS:
        raise UserError(
            f"{settings['templates']}: text: {len(symbols)} different characters; "
            f"use at most {MAX_SYMBOLS}"
        )
    return table


def build(settings: dict[str, Any], verbs: Path, templates: Path, out: Path) -> None:
    """Generate the corpus from two CSV files and write it to `out` as Parquet.

    Args:
        settings: the section `corpus` under its name.
        verbs: path of verbs.csv.
        templates: path of templates.csv.
        out: path of the Parquet file, one row a sentence, columns as in `SCHEMA`.

    Raises:
        UserError: see `read_verbs`, `read_templates` and `generate`.
    """
    known = read_verbs(verbs)
    section = settings["corpus"] | {"verbs": verbs, "templates": templates}
    table = generate(section, known, read_templates(templates, known))
    files.write_table(out, table)
    wrong = sum(label != "correct" for label in table["label"].to_pylist())
    print(f"{out}: {len(table)} sentences, {wrong} of them mis-conjugated")


def _check_noise(wrong: dict[str, str], noise: dict[str, float], verb: Verb, tense: str) -> None:
    kinds = [mistake for mistake in MISTAKES if mistake in wrong]
    total = sum(noise[mistake] for mistake in kinds)
    if total > 1 + 1e-9:
        raise UserError(
            f"params.yaml: corpus.noise: {' + '.join(kinds)} = {total:g} for {verb.lemma} in "
            f"{tense}; lower them to 1 in all"
        )
