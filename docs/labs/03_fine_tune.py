"""Lab 3: fine-tune. A small base learns English with learners' mistakes; an adapter repairs it.

    python docs/labs/03_fine_tune.py

Theory: docs/theory/01-sft-and-forgetting.md. Takes half a minute. The experiment proper is
`snakemake all`: more verbs, a larger model, every rank, five seeds, and intervals.
"""

import minituner  # noqa: F401, I001  first of all, before torch is loaded: it pins the kernels
import copy
from pathlib import Path

import torch

from minituner import compute, data, evaluate, train
from minituner.corpus.generate import generate
from minituner.corpus.tables import read_templates, read_verbs
from minituner.corpus.verbs import PASTS, alternatives
from minituner.foundation import seeds
from minituner.lora import wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from minituner.workflow import settings

ROOT = Path(__file__).resolve().parents[2]
VERBS = ("go", "eat", "see", "walk", "play", "want")  # three irregular, three regular
SHAPE = {"n_layer": 2, "n_head": 4, "d_model": 32, "d_ff": 128}
BASE = {"steps": 600, "learning_rate": 0.012, "warmup": 30, "eval_every": 600}
TUNING = {"steps": 80, "learning_rate": 0.002, "warmup": 8, "eval_every": 80}
RUNS = {  # name: rank, and whether the loss is on the form alone
    "LoRA r=1": (1, True),
    "LoRA r=1, loss on the sentence": (1, False),
    "LoRA r=8": (8, True),
    "full fine-tuning": (None, True),
}
Rows = list[dict]


def sentences() -> Rows:
    """The project's own corpus, six verbs of it; mistakes included."""
    options = settings.load(str(ROOT / "params.yaml"))["corpus"]
    verbs = read_verbs(ROOT / options["verbs"])
    templates = read_templates(ROOT / options["templates"], verbs)
    few = {lemma: verbs[lemma] for lemma in VERBS}
    rows = generate(options, few, templates).to_pylist()
    for row in rows:
        verb = few[row["verb_lemma"]]
        row["alternatives"] = [*alternatives(verb, row["tense"], row["person"]).values()]
    return rows


def correct(rows: Rows, regularity: str, split: str, n: int) -> Rows:
    """n correct sentences in a past tense, spread over the split."""
    pool = [
        row | {"text": row["correct_text"], "form": row["correct_form"]}
        for row in rows
        if (row["english_regularity"], row["split"]) == (regularity, split)
        and row["tense"] in PASTS
    ]
    order = seeds.generator(0, "lab 3", regularity, split).permutation(len(pool))
    return [pool[i] for i in order[:n]]


def batches(texts: list[str], vocab: str, seen: list[int] | None, size: int):
    """Endless batches, shuffled anew each epoch."""
    for chosen in data.index_batches(len(texts), size, seeds.generator(0, "lab 3", "batches")):
        yield data.batch([texts[i] for i in chosen], vocab, seen and [seen[i] for i in chosen])


def fit(model: MiniGPT, *how) -> None:
    """`train.fit` by compiled loops, which are faster than the model's own modules."""
    train.fit(compute.accelerate(model), *how, adamw=compute.AdamW)


def score(model: MiniGPT, rows: Rows) -> Rows:
    """What a model makes of each sentence."""
    return evaluate.score_rows(compute.accelerate(model).score, rows)


def pretrain(rows: Rows) -> MiniGPT:
    """A base that learns the sentences as they are written."""
    texts = [row["text"] for row in rows if row["split"] == "train"]
    vocab = data.vocabulary([row[key] for row in rows for key in ("text", "correct_text")])
    model = MiniGPT(ModelConfig(vocab=vocab, **SHAPE), compute.generator(0, "lab 3", "init"))
    held_out = [data.batch(texts[:64], vocab)]
    fit(model, batches(texts, vocab, None, 32), held_out, BASE)
    return model


def tune(base: MiniGPT, examples: Rows, rank: int | None, form_only: bool) -> MiniGPT:
    """A tuned copy of the base; rank None: every weight; the loss on the form or the sentence."""
    model = copy.deepcopy(base)
    if rank:
        wrap_minigpt_with_lora(model, rank, alpha=8, generator=compute.generator(0, "lab 3", "A"))
    texts, seen = [row["text"] for row in examples], None
    if form_only:
        pairs = [data.completion(row["text"], row["prompt"], row["form"]) for row in examples]
        texts, seen = map(list, zip(*pairs, strict=True))
    vocab = model.config.vocab
    validation = [next(batches(texts, vocab, seen, 32))]
    fit(model, batches(texts, vocab, seen, 32), validation, TUNING)
    return model


def measure(model: MiniGPT, irregular: Rows, control: Rows) -> dict[str, float]:
    """Accuracy and mean margin on the irregular verbs, perplexity a symbol on the control."""
    model.eval()
    repaired, remembered = score(model, irregular), score(model, control)
    nats, symbols = (
        sum(row[f"sentence_{key}"] for row in remembered) for key in ("nats", "symbols")
    )
    return {
        "accuracy": sum(row["chosen"] for row in repaired) / len(repaired),
        "margin": sum(row["margin"] for row in repaired) / len(repaired),
        "perplexity": float(torch.tensor(nats / symbols).exp()),
    }


def main() -> None:
    """Pretrain, tune three ways, print the comparison and one verb's probabilities."""
    compute.pin()
    rows = sentences()
    wrong = sum(row["label"] != "correct" for row in rows)
    print(f"1. The corpus: {len(rows):,} sentences, {wrong / len(rows):.0%} with a mistake.")
    base = pretrain(rows)

    examples = correct(rows, "irregular", "train", 200)
    tests = correct(rows, "irregular", "test", 60), correct(rows, "regular", "test", 60)
    print("2. Tuned on 200 correct sentences of go, eat, see; measured on prompts never seen.")
    print(f"   {'run':32}accuracy  margin  control perplexity")
    models = {"base": base}
    models |= {name: tune(base, examples, *how) for name, how in RUNS.items()}
    measured = {name: measure(model, *tests) for name, model in models.items()}
    for name, m in measured.items():
        drift = m["perplexity"] / measured["base"]["perplexity"] - 1
        against = "" if name == "base" else f" ({drift:+.1%})"
        numbers = f"{m['accuracy']:8.0%}  {m['margin']:+6.2f}  {m['perplexity']:.3f}{against}"
        print(f"   {name:32}{numbers}")

    print("3. Verb by verb: mean log-odds of the correct past over its best rival, nats.")
    scored = [score(models[name], tests[0]) for name in ("base", "LoRA r=1")]
    for verb in VERBS[:3]:
        places = [i for i, row in enumerate(tests[0]) if row["verb_lemma"] == verb]
        before, after = (sum(rows[i]["margin"] for i in places) / len(places) for rows in scored)
        print(f"   {verb}: {before:+.2f} before, {after:+.2f} with LoRA r=1")


if __name__ == "__main__":
    main()
