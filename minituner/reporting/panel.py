"""What the page's live panel is made of: the models' own files, and what the corpus can be asked.

`template/panel.js` computes with them in the reader's browser.
"""

import base64
from pathlib import Path
from typing import Any

import pandas as pd

from minituner.analysis import prompts
from minituner.checkpoints import names, runs
from minituner.corpus import subsets
from minituner.corpus.verbs import PASTS
from minituner.foundation import storage
from minituner.foundation.parquet import read_frame

MOST_BYTES = 10_000_000  # of the models together: a larger page is no pleasure to open
MOST_BEGINNINGS = 3000  # offered for choice; any other can be typed
CONTROLS = 12  # regular sentences offered


def encoded(path: Path) -> str:
    """A file's bytes in base64."""
    return base64.b64encode(storage.reading(path).read_bytes()).decode()


def content(
    data: Path, results: Path, sweep: runs.Sweep, judged: dict[str, Any], base: pd.DataFrame
) -> dict[str, Any] | None:
    """All that the panel needs; None if the models are too large for a page.

    Args:
        data: folder of the corpus and the two subsets.
        results: folder of the results.
        sweep: the settings called so.
        judged: the judged run, as `runs.parse_run` gives it.
        base: the base's evaluation.
    """
    embedded = models(judged, sweep, results)
    if embedded is None:
        return None
    run = f"{judged['group']}_s{judged['seed']}"
    tuned = read_frame(results / "evaluate" / "runs" / f"{run}.parquet")
    wrong, right = base["chosen"] == False, tuned["chosen"] == True  # noqa: E712  None is neither
    repaired = set(base.loc[wrong, "id"]) & set(tuned.loc[right, "id"])
    return embedded | questions(data, repaired)


def models(judged: dict[str, Any], sweep: runs.Sweep, results: Path) -> dict[str, Any] | None:
    """The base, its NF4 form and the adapters of the judged one's seed; None if they are too large.

    Args:
        judged: the judged run, as `runs.parse_run` gives it.
        sweep: the settings called so.
        results: folder of the results.
    """
    one_seed = sweep | {"seeds": [judged["seed"]]}
    adapters = {"lora": runs.lora_runs(one_seed), "qlora": runs.qlora_runs(one_seed)}
    named = [*adapters["lora"], *adapters["qlora"]]
    folders = {run: Path(runs.adapter_folder(run, str(results))) for run in named}
    both = [results / "base", results / "nf4"]
    if sum(map(names.file_bytes, [*both, *folders.values()])) > MOST_BYTES:
        return None
    base, nf4 = (encoded(folder / names.MODEL_FILE) for folder in both)
    return {
        "config": storage.read_json(results / "base" / names.CONFIG_FILE)["model"],
        "base": base,
        "nf4": nf4,
        "rank": judged["rank"],
        "adapters": {
            method: sorted((adapter(folders[run]) for run in each), key=lambda one: one["rank"])
            for method, each in adapters.items()
        },
    }


def adapter(folder: Path) -> dict[str, Any]:
    """An adapter's rank, α and file."""
    config = storage.read_json(folder / names.ADAPTER_CONFIG)
    file = encoded(folder / names.ADAPTER_FILE)
    return {"rank": config["r"], "alpha": config["lora_alpha"], "file": file}


def questions(data: Path, repaired: set[str]) -> dict[str, Any]:
    """Forms by verb, tense and cell; the beginnings of sentences; which comes first; the controls.

    A beginning is a list of tense, subject, time, cell, pattern, split and verbs: the pattern is
    the prompt with `{}` for the lemma it begins with, if it does, and verbs is None for all.

    Args:
        data: folder of the corpus and the two subsets.
        repaired: ids of the sentences that the base gets wrong and the judged adapter right.
    """
    corpus = prompts.read(data / "corpus.parquet")
    files = [data / "irregular.parquet", data / "control.parquet"]
    forms: dict[str, dict[str, dict[str, list[str]]]] = {}
    for (lemma, tense, cell), competing in prompts.competing(corpus, files).items():
        forms.setdefault(lemma, {}).setdefault(tense, {})[cell] = competing
    rows = subsets.read_held_out(*files)
    test = [row for row in rows if row["split"] == "test"]
    irregular = [row for row in test if row["set"] == "irregular" and row["id"] in repaired]
    control = [row for row in test if row["set"] == "control"]
    controls = prompts.first_of_each_verb(control, PASTS[0]) or control
    first = min((row["prompt"] for row in irregular or test), key=lambda text: (len(text), text))
    return {
        "forms": forms,
        "beginnings": beginnings(corpus, list(forms)),
        "first": first,
        "controls": [row["text"] for row in controls[:CONTROLS]],
    }


def beginnings(corpus: pd.DataFrame, lemmas: list[str]) -> list[list[Any]]:
    """See `questions`: one for all verbs that share it, in the corpus's order."""
    distinct = corpus.drop_duplicates("prompt")
    pairs = zip(distinct["prompt"], distinct["verb_lemma"], strict=True)
    cued = [
        "{}" + prompt.removeprefix(lemma) if prompt.startswith(f"{lemma}: ") else prompt
        for prompt, lemma in pairs
    ]
    keys = ["tense", "subject", "time", "cell", "pattern", "split"]
    grouped = distinct.assign(pattern=cued).groupby(keys, sort=False)["verb_lemma"]
    shared = grouped.agg(lambda verbs: list(dict.fromkeys(verbs))).head(MOST_BEGINNINGS)
    return [[*key, None if verbs == lemmas else verbs] for key, verbs in shared.items()]
