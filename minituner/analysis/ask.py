"""Ask models live: conjugate a verb, complete a sentence; the rival forms' chances side by side."""

import difflib
import math
from pathlib import Path
from typing import Any

import pandas as pd

from minituner.analysis import prompts
from minituner.analysis.decoding import greedy, next_words
from minituner.evaluate import BATCH
from minituner.foundation.errors import UserError
from minituner.foundation.numerics import exponential

Models = dict[str, Any]  # by label: a MiniGPT with a `score`, as `compute.accelerate` gives it
WORDS = 6  # candidates of each model where the corpus names none


def pick(
    cells: pd.DataFrame, lemma: str, tense: str, subject: str | None, time: str | None
) -> pd.Series:
    """The first sentence of the corpus with this verb, tense, subject and time.

    Raises:
        UserError: naming what the corpus does not have, what comes near and what it has.
    """
    asked = {"verb": ("verb_lemma", lemma), "tense": ("tense", tense)}
    asked |= {"subject": ("subject", subject), "time": ("time", time)}
    for name, (column, value) in asked.items():
        if value is None:
            continue
        known = list(dict.fromkeys(cells[column]))
        if value not in known:
            near = difflib.get_close_matches(value, known, 1, 0.45)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(
                f"conjugate: {name}: the corpus has no {value!r}; {hint}known are "
                + ", ".join(known)
            )
        cells = cells[cells[column] == value]
    return cells.iloc[0]


def chances(model: Any, beginnings: list[str], forms: list[str]) -> list[float]:
    """P(form | beginning) of each pair."""
    log_probs: list[float] = []
    for start in range(0, len(beginnings), BATCH):
        part = slice(start, start + BATCH)
        log_probs += map(math.fsum, model.score(beginnings[part], forms[part])[0].tolist())
    return exponential(log_probs).tolist()


def form_chances(model: Any, prompt: str, forms: list[str]) -> dict[str, float]:
    """P(form and the space that closes it | prompt)."""
    values = chances(model, [prompt] * len(forms), [f"{form} " for form in forms])
    return dict(zip(forms, values, strict=True))


def chances_over_verbs(model: Any, cells: pd.DataFrame, text: str) -> dict[tuple[str, str], float]:
    """P(lemma and form | text) where no verb is named in front, by the model's own belief in each.

    The corpus begins each sentence with its lemma, so every lemma is tried:
    P(lemma: text form) as a share of Σ P(lemma: text) over the lemmas.
    """
    by_lemma = cells.groupby("verb_lemma")["form"].unique()
    beginnings = [f"{lemma}: {text}" for lemma in by_lemma.index]
    whole = sum(chances(model, [""] * len(beginnings), beginnings))
    keys = [(lemma, form) for lemma, forms in by_lemma.items() for form in sorted(forms)]
    texts = [f"{lemma}: {text}{form} " for lemma, form in keys]
    values = chances(model, [""] * len(texts), texts)
    return {key: value / whole for key, value in zip(keys, values, strict=True)}


def over_verbs(models: Models, cells: pd.DataFrame, text: str) -> str:
    """The correct form and its likeliest rival of the verbs on which the models differ most."""
    correct = dict(zip(cells["verb_lemma"], cells["correct_form"], strict=True))
    shares = {name: chances_over_verbs(model, cells, text) for name, model in models.items()}
    best: dict[tuple[str, str], float] = {}
    for each in shares.values():
        best |= {key: max(value, best.get(key, 0.0)) for key, value in each.items()}
    rival: dict[str, str] = {}
    for lemma, form in sorted(best, key=best.get):
        if form != correct[lemma]:
            rival[lemma] = form  # the likeliest comes last
    pairs = {lemma: (correct[lemma], form) for lemma, form in rival.items()}
    pairs = {lemma: forms for lemma, forms in pairs.items() if (lemma, forms[0]) in best}
    if not pairs:
        raise UserError(f"complete: {text!r}: the corpus has no rival forms there; name the verb")

    def spread(lemma: str) -> float:
        """How far apart the models are; of a single one, how likely it finds the rival."""
        of_rival = [each[lemma, rival[lemma]] for each in shares.values()]
        return max(of_rival) - (min(of_rival) if len(of_rival) > 1 else 0)

    top = sorted(pairs, key=spread, reverse=True)[:WORDS]
    by_model = {
        name: {form: each[lemma, form] for lemma in top for form in pairs[lemma]}
        for name, each in shares.items()
    }
    head = (
        f"no verb is named in front, so the shares are over the corpus's {len(correct)} verbs; "
        f'for one alone: "{top[0]}: {text}"'
    )
    order = [form for lemma in top for form in pairs[lemma]]
    return "\n".join([head, "", *table(by_model, {correct[lemma] for lemma in top}, order)])


def conjugate(
    models: Models, data: Path, lemma: str, tense: str, subject: str | None, time: str | None
) -> str:
    """The answer of `minituner conjugate`."""
    cells = prompts.read(data / "corpus.parquet")
    cell = pick(cells, lemma, tense, subject, time)
    return known_cell(models, data, cells, cell)


def known_cell(models: Models, data: Path, cells: pd.DataFrame, cell: pd.Series) -> str:
    """Correct form and rivals of a cell of the corpus, with each model's chances."""
    subsets = [data / "irregular.parquet", data / "control.parquet"]
    forms = prompts.competing(cells, subsets)[tuple(cell[prompts.CELL])]
    by_model = {name: form_chances(model, cell["prompt"], forms) for name, model in models.items()}
    head = f"{cell['verb_lemma']}, {cell['tense']}: the correct form is {cell['correct_form']!r}"
    return "\n".join([head, "", *show(cell["prompt"], models, by_model, {cell["correct_form"]})])


def complete(models: Models, data: Path, text: str) -> str:
    """The answer of `minituner complete`.

    A prompt that the corpus has is answered like `conjugate`, one that lacks just the verb in front
    for all verbs at once, and anything else with each model's likeliest words.
    """
    corpus = data / "corpus.parquet"
    cells = prompts.read(corpus) if corpus.is_file() else pd.DataFrame({"prompt": []})
    exact = cells[cells["prompt"] == text]
    if len(exact):
        return known_cell(models, data, cells, exact.iloc[0])
    behind = cells["prompt"].astype(str).str.partition(": ")[2] if len(cells) else cells["prompt"]
    if (behind == text).any():
        return over_verbs(models, cells[behind == text], text)
    likeliest = (next_words(model, text, WORDS) for model in models.values())
    words = list(dict.fromkeys(word for each in likeliest for word in each))
    if not words:
        raise UserError(f"complete: no model knows a word behind {text!r}; end it with a space")
    by_model = {n: form_chances(m, text, words) for n, m in models.items()}
    return "\n".join(show(text, models, by_model, set()))


def show(
    prompt: str, models: Models, by_model: dict[str, dict[str, float]], correct: set[str]
) -> list[str]:
    """The table, the likeliest form first, and below it what each model writes."""
    forms = next(iter(by_model.values()))
    order = sorted(forms, key=lambda form: -max(each[form] for each in by_model.values()))
    wide = max(map(len, models))
    written = [f"{name:>{wide}}: {prompt}{greedy(model, prompt)}" for name, model in models.items()]
    return [*table(by_model, correct, order), "", *written]


def table(by_model: dict[str, dict[str, float]], correct: set[str], order: list[str]) -> list[str]:
    """A row a form, a column a model. ✓ marks a correct form, * each model's favourite."""
    wide = max(map(len, [*order, "rest"])) + 4
    columns = {name: max(len(name), 8) for name in by_model}
    lines = [" " * wide + "  ".join(f"{name:>{width}}" for name, width in columns.items())]
    favourite = {name: max(each, key=each.get) for name, each in by_model.items()}
    for form in order:
        cells = [
            f"{'*' if favourite[name] == form else ' '}{100 * each[form]:{columns[name] - 3}.1f} %"
            for name, each in by_model.items()
        ]
        lines.append(f"{form + ' ✓' * (form in correct):{wide}}" + "  ".join(cells))
    rest = [
        f"{100 * max(0.0, 1 - sum(each.values())):{columns[name] - 2}.1f} %"
        for name, each in by_model.items()
    ]
    return [*lines, f"{'rest':{wide}}" + "  ".join(rest)]
