"""One run of a study: what it is tuned on, and how; its checkpoints along the way."""

from typing import Any, NamedTuple

import pyarrow as pa
import torch

from minituner import compute, data, train
from minituner.corpus import subsets
from minituner.foundation import seeds
from minituner.lora import trainable_parameters
from minituner.model import MiniGPT
from studies import subspace
from studies.variants import Variant

Rows = list[dict[str, Any]]


class Checkpoint(NamedTuple):
    """What is trained, after so many steps."""

    step: int
    parameters: list[torch.Tensor]


def examples(rows: Rows, variant: Variant, seed: int) -> train.Examples:
    """The (text, symbols seen) pairs that a variant is tuned on.

    Args:
        rows: the training rows of the irregular-verb subset.
        variant: which of them it takes, and whether the loss sees the whole sentence.
        seed: of the draw of fewer rows, evenly over the cells; more hold the fewer.
    """
    rows = [row for row in rows if row["verb_lemma"] != variant.without]
    if variant.examples is not None:
        table = pa.Table.from_pylist(rows)
        rows = subsets.draw(table, variant.examples, seed, "science").to_pylist()
    if variant.whole_sentence:
        return [(row["text"] + data.BOUNDARY, len(row["text"]) + 1) for row in rows]
    return data.completions(rows)


def tune(
    model: MiniGPT, settings: dict[str, Any], variant: Variant, rows: dict[str, Rows], seed: int
) -> list[Checkpoint]:
    """Tune a model in place as a variant asks; what it was at each point of the curve.

    Args:
        model: the base, or for `qlora` the NF4 base.
        settings: `lora` and `tuning`.
        variant: see `variants`.
        rows: `train` and `val` of the irregular-verb subset.
        seed: as in `train.tune`.
    """
    rate = {"learning_rate": variant.rate}
    lora = settings["lora"] | {"alpha": variant.alpha, "target_modules": variant.target_modules}
    chosen = settings | {"lora": lora, "tuning": settings["tuning"] | rate, "full": rate}
    fast = compute.accelerate(model)
    if variant.method == "subspace":
        generator = seeds.generator(seed, "science", "subspace", variant.rank)
        subspace.wrap(model, variant.rank, settings["lora"]["target_modules"], generator)
        options, fast = chosen["tuning"], model  # no compiled loop knows these layers
    else:
        init = compute.generator(seed, "adapter", "init")
        options = train.prepare(model, chosen, variant.method, variant.rank, init)
    trained = trainable_parameters(model)
    checkpoints: list[Checkpoint] = []

    def keep(row: train.Row) -> None:
        checkpoints.append(Checkpoint(int(row["step"]), [p.detach().clone() for p in trained]))

    pairs = {"train": examples(rows["train"], variant, seed), "val": data.completions(rows["val"])}
    how = {"adamw": compute.AdamW, "clip": compute.clip_grad_norm_, "on_row": keep}
    train.tune(fast, options, pairs, seed, **how)
    return checkpoints
