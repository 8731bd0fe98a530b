"""The further studies: variants of the tuning run, each tuned and scored with several seeds.

One job takes one seed through all variants, so that what two studies share is run once:
`standard` is the run that every study compares with.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from minituner import data, evaluate, train
from minituner.checkpoints import checkpoint
from minituner.compute import numerics
from minituner.corpus import subsets
from minituner.foundation import storage

KEPT = (
    "id set split frame probe verb_lemma tense chosen exact margin "
    "form_nats form_symbols sentence_nats sentence_symbols"
).split()
Variant = dict[str, Any]


def variants(settings: dict[str, Any], verbs: list[str]) -> dict[str, Variant]:
    """Name → what differs from the standard run.

    Args:
        settings: the section `science`, and `tuning.learning_rate`.
        verbs: the lemmas of the irregular verbs.
    """
    science, standard = settings["science"], settings["tuning"]["learning_rate"]
    first = science["ranks"][0]
    found: dict[str, Variant] = {"standard": {}, "whole_sentence": {"loss": "sentence"}}
    found |= {f"without_{verb}": {"without": verb} for verb in verbs}
    found |= {f"examples_{n}": {"examples": n} for n in science["examples"]}
    for rank in science["ranks"]:
        for rate in science["learning_rates"]:
            if (rank, rate) != (first, standard):
                found[f"lora_r{rank}_{rate:g}"] = {"rank": rank, "rate": rate}
    for rate in science["learning_rates"]:
        found[f"qlora_{rate:g}"] = {"method": "qlora", "rate": rate}
    for rate in science["full_learning_rates"]:
        found[f"full_{rate:g}"] = {"method": "full", "rate": rate}
    return found


def examples(rows: list[dict[str, Any]], variant: Variant, seed: int) -> list[tuple[str, int]]:
    """The (text, symbols seen) pairs that a variant is tuned on.

    Args:
        rows: the training rows of the irregular-verb subset.
        variant: `without` leaves a verb out, `examples` draws so many rows, evenly over the cells,
            and `loss: sentence` shows the loss the whole sentence.
        seed: of the draw; more examples hold the fewer ones.
    """
    kept = [row for row in rows if row["verb_lemma"] != variant.get("without")]
    if "examples" in variant:
        table = pa.Table.from_pylist(kept)
        kept = subsets.draw(table, variant["examples"], seed, "science").to_pylist()
    if variant.get("loss") == "sentence":
        return [(row["text"] + data.BOUNDARY, len(row["text"]) + 1) for row in kept]
    return [data.completion(row["text"], row["prompt"], row["form"]) for row in kept]


def run(
    settings: dict[str, Any],
    base: Path,
    nf4: Path,
    irregular: Path,
    control: Path,
    seed: int,
    out: Path,
) -> None:
    """Tune and score every variant with one seed; one row a variant and held-out sentence.

    Args:
        settings: `science`, `lora` and `tuning`.
        base: folder of the base.
        nf4: folder of the NF4 base, for QLoRA.
        irregular: the irregular-verb subset.
        control: the control set.
        seed: as in `train.tune`.
        out: the Parquet file to write.
    """
    numerics.pin()
    held_out = evaluate.held_out_rows(irregular, control)
    columns = ["id", "text", "prompt", "form", "verb_lemma", "tense", "split", "probe"]
    rows = [r for r in storage.read_table(irregular, columns).to_pylist() if not r["probe"]]
    by_split = {split: [r for r in rows if r["split"] == split] for split in ("train", "val")}
    verbs = sorted({row["verb_lemma"] for row in by_split["train"]})
    scores = [_scored("base", checkpoint.load_model(base).eval(), held_out)]
    for name, variant in variants(settings, verbs).items():
        method = variant.get("method", "lora")
        rank = None if method == "full" else variant.get("rank", settings["science"]["ranks"][0])
        rate = {"learning_rate": variant.get("rate", settings["tuning"]["learning_rate"])}
        chosen = settings | {"tuning": settings["tuning"] | rate, "full": rate}
        model = checkpoint.load_model(nf4 if method == "qlora" else base)
        pairs = {
            "train": examples(by_split["train"], variant, seed),
            "val": examples(by_split["val"], {}, seed),
        }
        train.adapt(model, chosen, method, pairs, seed, rank)
        scores.append(_scored(name, model.eval(), held_out))
        print(f"{name}: seed {seed}", flush=True)
    storage.write_table(out, pa.concat_tables(scores))


def _scored(name: str, model: Any, rows: list[dict[str, Any]]) -> pa.Table:
    """What a model makes of the held-out sentences, under the variant's name."""
    scores = evaluate.score(model, rows)
    merged = [row | score for row, score in zip(rows, scores, strict=True)]
    return pa.Table.from_pylist(
        [{"variant": name} | {column: row[column] for column in KEPT} for row in merged]
    )
