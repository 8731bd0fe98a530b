"""The further studies: variants of the tuning run, each tuned and scored with several seeds.

One job takes one seed through all variants, so that what two studies share is run once:
`standard` is the run that every study compares with.
"""

from typing import Any

import pyarrow as pa

from minituner import compute, data, evaluate, train
from minituner.corpus import subsets
from minituner.model import MiniGPT

KEPT = (
    "id set split pair verb_lemma tense chosen exact margin "
    "form_nats form_symbols sentence_nats sentence_symbols"
).split()
Variant = dict[str, Any]
Rows = list[dict[str, Any]]


def variants(settings: dict[str, Any], verbs: list[str]) -> dict[str, Variant]:
    """Name → what differs from the standard run.

    Args:
        settings: the section `science`, and `tuning.learning_rate`.
        verbs: the lemmas of the irregular verbs.
    """
    science, standard = settings["science"], settings["tuning"]["learning_rate"]
    first = science["ranks"][0]
    by_name: dict[str, Variant] = {"standard": {}, "whole_sentence": {"loss": "sentence"}}
    by_name |= {f"without_{verb}": {"without": verb} for verb in verbs}
    by_name |= {f"examples_{n}": {"examples": n} for n in science["examples"]}
    for rank in science["ranks"]:
        for rate in science["learning_rates"]:
            if (rank, rate) != (first, standard):
                by_name[f"lora_r{rank}_{rate:g}"] = {"rank": rank, "rate": rate}
    for rate in science["learning_rates"]:
        by_name[f"qlora_{rate:g}"] = {"method": "qlora", "rate": rate}
    for rate in science["full_learning_rates"]:
        by_name[f"full_{rate:g}"] = {"method": "full", "rate": rate}
    return by_name


def examples(rows: Rows, variant: Variant, seed: int) -> train.Examples:
    """The (text, symbols seen) pairs that a variant is tuned on.

    Args:
        rows: the training rows of the irregular-verb subset.
        variant: `without` leaves a verb out, `examples` draws so many rows, evenly over the cells,
            and `loss: sentence` shows the loss the whole sentence.
        seed: of the draw; more examples hold the fewer ones.
    """
    rows = [row for row in rows if row["verb_lemma"] != variant.get("without")]
    if "examples" in variant:
        table = pa.Table.from_pylist(rows)
        rows = subsets.draw(table, variant["examples"], seed, "science").to_pylist()
    if variant.get("loss") == "sentence":
        return [(row["text"] + data.BOUNDARY, len(row["text"]) + 1) for row in rows]
    return data.completions(rows)


def tune(
    model: MiniGPT, settings: dict[str, Any], variant: Variant, rows: dict[str, Rows], seed: int
) -> None:
    """Tune a model in place as a variant asks.

    Args:
        model: the base, or for `method: qlora` the NF4 base.
        settings: `science`, `lora` and `tuning`.
        variant: see `variants`.
        rows: `train` and `val` of the irregular-verb subset.
        seed: as in `train.tune`.
    """
    method = variant.get("method", "lora")
    rank = None if method == "full" else variant.get("rank", settings["science"]["ranks"][0])
    rate = {"learning_rate": variant.get("rate", settings["tuning"]["learning_rate"])}
    chosen = settings | {"tuning": settings["tuning"] | rate, "full": rate}
    pairs = {"train": examples(rows["train"], variant, seed), "val": data.completions(rows["val"])}
    init = compute.generator(seed, "adapter", "init")
    options = train.prepare(model, chosen, method, rank, init)
    how = {"adamw": compute.AdamW, "clip": compute.clip_grad_norm_}
    train.tune(compute.accelerate(model), options, pairs, seed, **how)


def scored(name: str, model: MiniGPT, rows: Rows) -> pa.Table:
    """What a model makes of the held-out sentences, under the variant's name."""
    scores = evaluate.score_rows(compute.accelerate(model).score, rows)
    merged = [row | score for row, score in zip(rows, scores, strict=True)]
    return pa.Table.from_pylist(
        [{"variant": name} | {column: row[column] for column in KEPT} for row in merged]
    )
