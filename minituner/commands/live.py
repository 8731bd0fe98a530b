"""The subcommands for people, and the help that teaches all of them; no job loads this.

They are kept out of cli.py so that a change here makes no result stale.
"""

import argparse
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

from minituner.foundation.errors import UserError
from minituner.workflow import settings

INTRODUCTION = (
    "LoRA and QLoRA on a GPT small enough to study. `make all` or `snakemake all` makes every "
    "result; the commands below ask what came out, and are what the workflow's rules call."
)
GROUPS = {
    "Ask the models": ("conjugate", "complete", "compare"),
    "Look things up and use what was made": (
        "counts",
        "merge",
        "provenance",
        "validate",
        "completion",
    ),
}
STAGES = "Stages, called by the rules of the same names"
EXAMPLES = """\
  minituner conjugate go --tense past_simple --subject she
  minituner complete "eat: yesterday she "
  minituner compare lora_r1 lora_r8
  minituner counts --shape llama-7b --rank 8
  minituner validate && snakemake all"""
SHELLS = {
    "bash": 'eval "$(minituner completion bash)"   # in ~/.bashrc',
    "zsh": "minituner completion zsh > ~/.zfunc/_minituner   # a folder of $fpath",
    "tcsh": "minituner completion tcsh > ~/.minituner.tcsh   # and source it in ~/.tcshrc",
}


def add(parser: argparse.ArgumentParser, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands, and have `parser` explain all there are, in groups.

    Args:
        parser: the whole command line's.
        command: adds one subcommand, see `cli.build_parser`.
    """
    conjugate = command(
        "conjugate",
        _conjugate,
        "ask models for a form: base, adapter and QLoRA side by side",
        epilog="minituner conjugate go --tense past_simple --subject she\n"
        "minituner conjugate eat --tense past_participle --run base --run full_s0",
    )
    conjugate.add_argument("verb", metavar="VERB", help="a lemma of the corpus: go, eat, walk, …")
    conjugate.add_argument("--tense", default="past_simple", help="default: past_simple")
    conjugate.add_argument("--subject", help="as in the corpus: she, they, … (default: its first)")
    conjugate.add_argument("--time", help="as in the corpus: yesterday, … (default: its first)")
    complete = command(
        "complete",
        _complete,
        "let models go on with a sentence",
        epilog='minituner complete "yesterday she "        over all verbs\n'
        'minituner complete "go: yesterday she "    with the verb in front, as in the corpus',
    )
    complete.add_argument("text", metavar="TEXT", help="ending in a space, unless in mid-word")
    for sub in (conjugate, complete):
        sub.add_argument(
            "--run", dest="named", action="append", default=[], metavar="NAME",
            help="ask this run instead, e.g. lora_r8_s0; may be repeated "
            "(default: base, the judged adapter, and QLoRA at its rank)",
        )  # fmt: skip
        sub.add_argument("--base", type=Path, metavar="PATH", help="folder of another model")
        sub.add_argument(
            "--adapter", type=Path, action="append", default=[], metavar="PATH",
            help="folder of an adapter for it; may be repeated",
        )  # fmt: skip
        sub.add_argument("--data", type=Path, default=Path("data"), metavar="PATH", help="(data)")
    compare = command(
        "compare",
        _compare,
        "hold two runs against each other, with intervals",
        epilog="minituner compare base lora_r1_s0     two runs\n"
        "minituner compare lora_r1 qlora_r1    two ranks, all seeds\n"
        "minituner compare base ../other/results/evaluate/runs/base.parquet",
    )
    compare.add_argument("runs", nargs=2, metavar="RUN", help="a run, a rank, or its .parquet")
    compare.add_argument(
        "--settings", default="params.yaml", metavar="FILE|JSON", help="section evaluate"
    )
    for sub in (conjugate, complete, compare):
        sub.add_argument(
            "--results", type=Path, default=Path("results"), metavar="PATH", help="(results)"
        )
    merge = command("merge", _merge, "merge an adapter into its base", "base", "adapter", "out")
    merge.add_argument(
        "--dequantize", action="store_true", help="allow an NF4 base; the result is in float32"
    )
    validate = command("validate", _validate, "check the settings")
    validate.add_argument("file", nargs="?", default="params.yaml", metavar="FILE")
    completion = command(
        "completion",
        _completion,
        "print a script that completes commands in your shell",
        epilog="\n".join(SHELLS.values()),
    )
    completion.add_argument("shell", choices=sorted(SHELLS))
    completion.set_defaults(parser=parser)
    parser.format_help = lambda: explanation(parser)


def explanation(parser: argparse.ArgumentParser) -> str:
    """What `minituner --help` prints: the commands in groups, and examples."""
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    helps = {name: sub.description for name, sub in commands.choices.items()}
    grouped = {name for names in GROUPS.values() for name in names}
    groups = GROUPS | {STAGES: [name for name in helps if name not in grouped]}
    width = min(shutil.get_terminal_size().columns, 100)
    wide = max(map(len, helps)) + 4
    lines = ["usage: minituner COMMAND …", "", *textwrap.wrap(INTRODUCTION, width)]
    for title, names in groups.items():
        lines += ["", f"{title}:"]
        for name in names:
            if name in helps:
                lead = f"  {name}".ljust(wide)
                lines += textwrap.wrap(lead + helps[name], width, subsequent_indent=" " * wide)
    lines += ["", "Examples:", EXAMPLES, "", "`minituner COMMAND --help` explains one of them."]
    return "\n".join(lines) + "\n"


def _models(args: argparse.Namespace) -> dict:
    from minituner.analysis import ask

    if args.named and (args.base or args.adapter):
        raise UserError("--run: names the model already; drop it, or --base and --adapter")
    return ask.choose(args.named, args.base, args.adapter, args.results)


def _conjugate(args: argparse.Namespace) -> None:
    from minituner.analysis import ask

    models = _models(args)
    print(ask.conjugate(models, args.data, args.verb, args.tense, args.subject, args.time))


def _complete(args: argparse.Namespace) -> None:
    from minituner.analysis import ask

    print(ask.complete(_models(args), args.data, args.text))


def _compare(args: argparse.Namespace) -> None:
    from minituner.analysis import compare

    print(compare.compare(settings.load(args.settings, "evaluate"), args.runs, args.results))


def _merge(args: argparse.Namespace) -> None:
    from minituner.commands import merge

    difference = merge.merge(args.base, args.adapter, args.out, args.dequantize)
    print(f"{args.out}: merged; the largest logit difference it makes is {difference:.2g}")


def _validate(args: argparse.Namespace) -> None:
    settings.load(args.file)
    print(f"{args.file}: valid")


def _completion(args: argparse.Namespace) -> None:
    import shtab

    print(shtab.complete(args.parser, args.shell))
