"""Continue example prompts."""

import argparse

SETTINGS = ("sweep",)
PATHS = ("results", "irregular", "control", "out")


def run(args: argparse.Namespace) -> None:
    """Write `completions.parquet`, a row a prompt and model, in reading order."""
    from minituner import compute
    from minituner.analysis import completions
    from minituner.checkpoints import runs
    from minituner.checkpoints.adapters import load_run
    from minituner.corpus import subsets
    from minituner.foundation import parquet
    from minituner.workflow import settings

    compute.pin()
    sweep = settings.load(args.settings, *SETTINGS)["sweep"]
    judged = runs.judged(args.results)
    shown = {
        "base": "base",
        "LoRA": judged,
        "QLoRA": runs.qlora_beside(judged, sweep["qlora_ranks"]),
    }
    examples = completions.examples(subsets.read_held_out(args.irregular, args.control))
    rows = []
    for method, name in shown.items():
        model = compute.accelerate(load_run(name, args.results))
        rows += completions.continued(model, method, name, examples)
    parquet.write_rows(args.out / "completions.parquet", rows)
