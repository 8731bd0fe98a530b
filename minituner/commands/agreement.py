"""Compare logits: LoRA on the base and on the NF4 base, and QLoRA runs with LoRA runs."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PATHS = ("base", "nf4", "irregular", "control", "out")


class Run(NamedTuple):
    """An adapter, or none, and the base it is put on: `base` or `nf4`."""

    base: str
    adapter: Path | None
    trained_on: str = "base"

    @property
    def name(self) -> str | None:
        """The run's name; None for a bare base."""
        return self.adapter and self.adapter.name


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--adapters", type=Path, nargs="+", required=True, metavar="PATH")
    parser.add_argument("--trained", type=Path, nargs="*", default=[], metavar="PATH")


def pairs(adapters: list[Path], trained: list[Path]) -> Iterator[tuple[str, Run, Run]]:
    """What is compared, by kind.

    `quantized` has the same adapter, or none, on the base and on the NF4 base: what quantizing
    does. `trained` has a LoRA run and the QLoRA run of its rank and seed; `seeds` a LoRA run and
    that of the next seed, the yardstick for the former.
    """
    from minituner.checkpoints.runs import parse_run

    for adapter in (None, *adapters):
        yield "quantized", Run("base", adapter), Run("nf4", adapter)
    lora = {path.name: path for path in adapters}
    for path in trained:
        if path.name.removeprefix("q") in lora:
            one = Run("base", lora[path.name.removeprefix("q")])
            yield "trained", one, Run("nf4", path, trained_on="nf4")
    groups: dict[str, list[Path]] = {}
    for path in adapters:
        groups.setdefault(parse_run(path.name)["group"], []).append(path)
    for group in groups.values():
        # Around the circle, so that each seed is in two pairs; two seeds are one pair.
        following = group[1:] + group[:1] * (len(group) > 2)
        for one, other in zip(group, following, strict=False):
            yield "seeds", Run("base", one), Run("base", other)


def run(args: argparse.Namespace) -> None:
    """Write one row a pair, over the test sentences: `evaluate.logit_difference`, and the `kl`.

    The first row, without any adapter (null), has the error that quantizing the base alone makes,
    which the others of its kind are held against.
    """
    from minituner import compute, evaluate
    from minituner.analysis.divergence import kl_divergence
    from minituner.checkpoints.adapters import load_adapter
    from minituner.checkpoints.models import load_model
    from minituner.corpus import subsets
    from minituner.foundation import parquet, progress

    compute.pin()
    folders = {"base": args.base, "nf4": args.nf4}
    rows = subsets.read_held_out(args.irregular, args.control)
    texts = [row["text"] for row in rows if row["split"] == "test"]
    compared = list(pairs(args.adapters, args.trained))
    # Most runs are in several pairs, and asking a model is what takes time.
    logits = {}
    every = dict.fromkeys(run for _, *both in compared for run in both)
    for run in progress.bar(every, "agreement", "models"):
        model = load_model(folders[run.base])
        if run.adapter:
            load_adapter(run.adapter, model, folders[run.trained_on])
        logits[run] = evaluate.logits(compute.accelerate(model.eval()), texts)
    results = []
    for kind, one, other in compared:
        names = {"kind": kind, "adapter": one.name, "other": other.name}
        both = logits[one], logits[other]
        kl = kl_divergence(*(tensor.numpy() for tensor in both))
        results.append(names | evaluate.logit_difference(*both) | {"kl": kl})
    parquet.write_rows(args.out, results)
