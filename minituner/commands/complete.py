"""Let models go on with a sentence."""

import argparse
from pathlib import Path

EXAMPLES = """\
minituner complete "yesterday she "        over all verbs
minituner complete "go: yesterday she "    with the verb in front, as in the corpus"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("text", metavar="TEXT", help="ending in a space, unless in mid-word")
    add_models(parser)


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which models to ask, and where they are."""
    add = parser.add_argument
    add(
        "--run", dest="named", action="append", default=[], metavar="NAME",
        help="ask this run instead, e.g. lora_r8_s0; may be repeated "
        "(default: base, the judged adapter, and QLoRA at its rank)",
    )  # fmt: skip
    add("--base", type=Path, metavar="PATH", help="folder of another model")
    add(
        "--adapter", type=Path, action="append", default=[], metavar="PATH",
        help="folder of an adapter for it; may be repeated",
    )  # fmt: skip
    add("--data", type=Path, default=Path("data"), metavar="PATH", help="(data)")
    add("--results", type=Path, default=Path("results"), metavar="PATH", help="(results)")


def chosen_models(args: argparse.Namespace) -> dict:
    """The models to ask, by label.

    Runs by name; or a base's folder, alone and below each of some adapters' folders; or, with
    nothing said, the base, the judged adapter and the QLoRA run beside it.

    Raises:
        UserError: if both kinds are named, or what is named has not been made.
    """
    from minituner import compute
    from minituner.checkpoints import runs
    from minituner.checkpoints.adapters import load_on_base, load_run
    from minituner.foundation.errors import UserError

    if args.named and (args.base or args.adapter):
        raise UserError("--run: names the model already; drop it, or --base and --adapter")
    compute.pin()
    base, names = args.base, args.named
    if args.adapter and not base:
        base = args.results / "base"
    if base:
        models = {base.name: load_on_base(base)}
        models |= {folder.name: load_on_base(base, folder) for folder in args.adapter}
    else:
        if not names:
            verdict = args.results / "definition_of_done.json"
            if not verdict.is_file():
                raise UserError(
                    f"{verdict}: no such file; make it with `snakemake all`, or name runs with "
                    "--run"
                )
            judged = runs.judged(args.results)
            names = ["base", judged, *runs.qlora_made_beside(judged, args.results)]
        models = {name: load_run(name, args.results) for name in names}
    return {name: compute.accelerate(model) for name, model in models.items()}


def run(args: argparse.Namespace) -> None:
    """Print what each model would write."""
    from minituner.analysis import ask

    print(ask.complete(chosen_models(args), args.data, args.text))
