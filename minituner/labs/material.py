"""What labs 02 and 03 work on: a base that says *goed*, and sentences to tune and test it with.

Where `make all` was run, these are the experiment's own. Elsewhere a smaller base of six verbs is
trained once, in plain PyTorch, and kept in `results/labs`.
"""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

from minituner import data, train
from minituner.checkpoints.models import load_model, save_model
from minituner.checkpoints.names import CONFIG_FILE, MODEL_FILE
from minituner.corpus import subsets
from minituner.corpus.generate import generate
from minituner.corpus.tables import read_templates, read_verbs
from minituner.corpus.verbs import PASTS, alternatives
from minituner.foundation import checkout, seeds
from minituner.foundation.errors import UserError
from minituner.labs.work import of_the_project
from minituner.model import MiniGPT, ModelConfig
from minituner.workflow import settings

ROOT = checkout.ROOT
VERBS = ("go", "eat", "see", "walk", "play", "want")  # three irregular, three regular
SHAPE = {"n_layer": 2, "n_head": 4, "d_model": 32, "d_ff": 128}
BASE = {"seed": 0, "steps": 600, "batch_size": 32, "learning_rate": 0.012, "warmup": 60}
BASE |= {"eval_every": 600, "weight_decay": 0.01}
TUNED, TESTED = 400, 100  # sentences
# What to type where a file cannot be read that `make all` makes, or that git holds.
MADE = "`make all` in the project's folder makes what is deleted again"
TRACKED = "`git checkout params.yaml data` there brings it back as it was committed"
Rows = list[dict[str, Any]]  # each with `text`, `prompt`, `form`, `alternatives`, `verb_lemma`


class Material(NamedTuple):
    """A base, and correct sentences.

    Attributes:
        base: a MiniGPT that learnt sentences with learners' mistakes.
        train: irregular pasts to tune on.
        irregular: irregular pasts to test on, behind prompts that no training has seen.
        control: sentences of regular verbs, which tuning must leave alone.
    """

    base: MiniGPT
    train: Rows
    irregular: Rows
    control: Rows


def load() -> Material:
    """The experiment's base and sentences, or where it was not run a smaller base and its own.

    Raises:
        NoCheckoutError: if there is no checkout.
        ProjectError: if a file of the experiment is broken.
    """
    checkout.need("params.yaml and data/, which this lab works with")
    irregular, control = (ROOT / "data" / f"{name}.parquet" for name in ("irregular", "control"))
    base = ROOT / "results" / "base"
    needed = (base / MODEL_FILE, base / CONFIG_FILE, irregular, control)
    missing = [path for path in needed if not path.is_file()]
    if missing:
        return in_small(missing[0] if base.is_dir() else base)
    with of_the_project(MADE):
        columns = ("text", "prompt", "form", "alternatives", "verb_lemma")
        tuned = subsets.read_irregular(irregular, "train", columns)
        scored = subsets.read_held_out(irregular, control)
        tests = (
            few([row for row in scored if (row["set"], row["split"]) == (name, "test")])
            for name in ("irregular", "control")
        )
        return Material(load_model(base), tuned, *tests)


def in_small(missing: Path) -> Material:
    """A smaller base and its own sentences, for want of a file of the experiment's."""
    with of_the_project(TRACKED):
        rows = sentences()
    tests = (correct(rows, regularity, "test", TESTED) for regularity in ("irregular", "regular"))
    base = small_base(rows, missing)
    return Material(base, correct(rows, "irregular", "train", TUNED), *tests)


def few(rows: Rows) -> Rows:
    """About `TESTED` of some rows, taken evenly."""
    return rows[:: max(1, len(rows) // TESTED)]


def sentences() -> Rows:
    """The project's own corpus, six verbs of it, mistakes included."""
    options = settings.load(ROOT / "params.yaml", "corpus")["corpus"]
    verbs = read_verbs(ROOT / options["verbs"])
    templates = read_templates(ROOT / options["templates"], verbs)
    chosen = {lemma: verbs[lemma] for lemma in VERBS}
    rows = generate(options, chosen, templates).to_pylist()
    for row in rows:
        rivals = alternatives(chosen[row["verb_lemma"]], row["tense"], row["person"])
        row["alternatives"] = [*rivals.values()]
    return rows


def correct(rows: Rows, regularity: str, split: str, n: int) -> Rows:
    """n correct sentences in a past tense, spread over the split."""
    pool = [
        row | {"text": row["correct_text"], "form": row["correct_form"]}
        for row in rows
        if (row["english_regularity"], row["split"]) == (regularity, split)
        and row["tense"] in PASTS
    ]
    order = seeds.generator(0, "labs", regularity, split).permutation(len(pool))
    return [pool[i] for i in order[:n]]


def small_base(rows: Rows, missing: Path) -> MiniGPT:
    """A base that learnt the sentences as they are written; kept for the next time."""
    texts = [row["text"] for row in rows if row["split"] == "train"]
    made_of = seeds.derive_seed(0, SHAPE, BASE, *texts)
    folder = ROOT / "results" / "labs" / f"base-{made_of:016x}"
    if (folder / CONFIG_FILE).is_file():
        with contextlib.suppress(UserError):  # a damaged one is made again
            return load_model(folder)
    print(
        f"There is no {missing.relative_to(ROOT)}: a smaller base is trained, once, in a minute "
        "or so …"
    )
    vocab = data.vocabulary([row[key] for row in rows for key in ("text", "correct_text")])
    model = MiniGPT(ModelConfig(vocab=vocab, **SHAPE), seeds.generator(0, "labs", "init"))
    train.pretrain(model, BASE, texts, [data.batch(texts[:64], vocab)])
    save_model(folder, model)
    return model
