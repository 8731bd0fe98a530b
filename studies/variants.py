"""The further studies' runs: what each tunes, and how it differs from the standard run.

A study is taken through all its runs with one seed by one job, so that what two questions share is
tuned once: `standard` is LoRA of the lowest rank with the settings of params.yaml.
"""

import dataclasses
from typing import Any

TASKS, CONVENTIONS, TARGETS, SUBSPACE = "tasks", "conventions", "targets", "subspace"
METHODS = "methods"
# What an update is multiplied by at a rank: α/r with α fixed, 2 r, or growing as √r (rsLoRA).
SCALES = {
    "fixed": lambda alpha, rank: alpha / rank,
    "proportional": lambda alpha, rank: 2.0,
    "root": lambda alpha, rank: alpha / 2 / rank**0.5,
}
ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("fc1", "fc2")
# As many trained parameters a block, or nearly: LoRA on d_in × d_out has r (d_in + d_out).
PLACES = {
    "q, v": (("q_proj", "v_proj"), 18),
    "attention": (ATTENTION, 9),
    "MLP": (MLP, 7),
    "all Linears": ((*ATTENTION, *MLP), 4),
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One run of a study.

    Attributes:
        name: of the run, within its study.
        method: `lora`, `qlora`, `full` or `subspace`.
        rate: the learning rate.
        rank: of an adapter, or how many directions a random subspace has.
        alpha: of an adapter.
        target_modules: what an adapter is put on.
        without: a verb left out of tuning.
        examples: sentences to tune on, None for all.
        whole_sentence: whether the loss sees the whole sentence.
        compared: the levels, `drift` or `margin`, where the run is scored on its way.
        at_end: whether it is scored at its end, on all that is held out; it is if it is not
            compared on its way.
    """

    name: str
    method: str
    rate: float
    rank: int | None = None
    alpha: float | None = None
    target_modules: tuple[str, ...] = ()
    without: str | None = None
    examples: int | None = None
    whole_sentence: bool = False
    compared: tuple[str, ...] = ("drift",)
    at_end: bool = False


def variants(study: str, settings: dict[str, Any], verbs: list[str]) -> list[Variant]:
    """The runs of a study.

    Args:
        study: one of the names above.
        settings: what the command `study` reads.
        verbs: the lemmas of the irregular verbs.
    """
    science, lora = settings["science"], settings["lora"]
    rate = settings["tuning"]["learning_rate"]
    lowest = min(settings["sweep"]["ranks"])

    def adapter(name: str, rank: int | None = lowest, **fields: Any) -> Variant:
        own = {"method": "lora", "rate": rate, "rank": rank, "alpha": lora["alpha"]}
        own["target_modules"] = tuple(lora["target_modules"])
        return Variant(name, **(own | fields))

    if study == TASKS:
        standard = adapter("standard", compared=())
        changes: dict[str, dict[str, Any]] = {"whole_sentence": {"whole_sentence": True}}
        changes |= {f"without_{verb}": {"without": verb} for verb in verbs}
        changes |= {f"examples_{n}": {"examples": n} for n in science["examples"]}
        return [standard] + [
            dataclasses.replace(standard, name=name, **change) for name, change in changes.items()
        ]
    if study == METHODS:
        ranks, qranks = settings["sweep"]["ranks"], settings["sweep"]["qlora_ranks"]
        full = {"method": "full", "rate": settings["full"]["learning_rate"], "rank": None}
        runs = [adapter(f"LoRA r={r}", r) for r in sorted(ranks)]
        runs += [adapter(f"QLoRA r={r}", r, method="qlora") for r in sorted(qranks)]
        runs.append(adapter("full fine-tuning", **full))
        return [dataclasses.replace(run, compared=("drift", "margin")) for run in runs]
    if study == CONVENTIONS:
        found: dict[tuple, Variant] = {}
        for convention, scale in SCALES.items():
            for rank in science["convention_ranks"]:
                scaling = scale(lora["alpha"], rank)
                for chosen in science["convention_rates"][convention]:
                    name = scaled_name(scaling, rank, chosen)
                    found[name] = adapter(name, rank, rate=chosen, alpha=scaling * rank)
        return list(found.values())
    if study == TARGETS:
        return [
            adapter(f"{place}, {chosen:g}", rank, rate=chosen, target_modules=modules)
            for place, (modules, rank) in PLACES.items()
            for chosen in science["target_rates"]
        ]
    return [
        Variant(f"d={directions}, {chosen:g}", "subspace", chosen, directions)
        for directions in science["directions"]
        for chosen in science["direction_rates"]
    ]


def scaled_name(scaling: float, rank: int, rate: float) -> str:
    """A run of the study of conventions: two that scale alike are the same run."""
    return f"{scaling:.4g} r={rank}, {rate:g}"
