"""Tune, follow and score the runs of one study with one seed."""

import argparse
from pathlib import Path

SETTINGS = ("science.drift", "science.margin", "lora", "tuning", "sweep.ranks")
# What each study reads besides, so that a change of one runs no other again.
OF_STUDY = {
    "tasks": ("science.examples",),
    "methods": ("full", "sweep.qlora_ranks"),
    "conventions": ("science.convention_ranks", "science.convention_rates"),
    "targets": ("science.target_rates",),
    "subspace": ("science.directions", "science.direction_rates"),
}
PATHS = ("base", "nf4", "irregular", "control", "out")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--study", required=True, choices=OF_STUDY)
    parser.add_argument("--seed", type=int, required=True)
    text = "where the runs' way along validation is written"
    parser.add_argument("--curves", type=Path, required=True, metavar="PATH", help=text)


def run(args: argparse.Namespace) -> None:
    """Write a row a run and tested sentence, and a row a run and checkpoint."""
    import pyarrow as pa

    from minituner import compute
    from minituner.checkpoints.models import load_model
    from minituner.corpus import subsets
    from minituner.foundation import checkout, parquet
    from minituner.workflow import settings

    checkout.find("studies/")
    from studies import following, variants

    compute.pin()
    chosen = settings.load(args.settings, *SETTINGS, *OF_STUDY[args.study])
    columns = ("id", "text", "prompt", "form", "verb_lemma", "tense")
    rows = {
        split: subsets.read_irregular(args.irregular, split, columns) for split in ("train", "val")
    }
    held_out = subsets.read_held_out(args.irregular, args.control)
    follow = following.Following(held_out, load_model(args.base), chosen["science"])
    scored, curves = [pa.Table.from_pylist(follow.base)], []
    verbs = sorted({row["verb_lemma"] for row in rows["train"]})
    for variant in variants.variants(args.study, chosen, verbs):
        model = load_model(args.nf4 if variant.method == "qlora" else args.base)
        tested, curve = follow.run(variant, model, chosen, rows, args.seed)
        scored.append(pa.Table.from_pylist(tested))
        curves += curve
        print(f"{variant.name}: seed {args.seed}", flush=True)
    parquet.write_table(args.out, pa.concat_tables(scored))
    parquet.write_rows(args.curves, curves)
