"""Tune and score every variant of the studies with one seed."""

import argparse

SETTINGS = ("science", "lora", "tuning")
PATHS = ("base", "nf4", "irregular", "control", "out")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--seed", type=int, required=True)


def run(args: argparse.Namespace) -> None:
    """Write one row a variant and held-out sentence."""
    import pyarrow as pa

    from minituner import compute
    from minituner.checkpoints.models import load_model
    from minituner.corpus import subsets
    from minituner.foundation import environment, parquet
    from minituner.workflow import settings

    environment.find_checkout()
    from studies import variants

    compute.pin()
    chosen = settings.load(args.settings, *SETTINGS)
    held_out = subsets.read_held_out(args.irregular, args.control)
    columns = ("id", "text", "prompt", "form", "verb_lemma", "tense")
    rows = {
        split: subsets.read_irregular(args.irregular, split, columns) for split in ("train", "val")
    }
    verbs = sorted({row["verb_lemma"] for row in rows["train"]})
    scored = [variants.scored("base", load_model(args.base).eval(), held_out)]
    for name, variant in variants.variants(chosen, verbs).items():
        model = load_model(args.nf4 if variant.get("method") == "qlora" else args.base)
        variants.tune(model, chosen, variant, rows, args.seed)
        scored.append(variants.scored(name, model.eval(), held_out))
        print(f"{name}: seed {args.seed}", flush=True)
    parquet.write_table(args.out, pa.concat_tables(scored))
