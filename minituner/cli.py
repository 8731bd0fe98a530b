"""The `minituner` command: one subcommand a rule. It parses, calls and reports; no science here.

Each stage's module is imported inside its subcommand, so that making the corpus never loads torch
and a change to one stage's sources reruns that stage alone (see sources.py).
"""

import argparse
import errno
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from minituner import files, provenance, settings
from minituner.errors import UserError

# What the report shows, and so is made again for.
EVERYTHING = (
    *("corpus", "subsets", "model", "base", "lora", "tuning", "full", "sweep", "nf4", "evaluate"),
    "definition_of_done",
)
# Subcommand → the sections of params.yaml that it may see; the rules pass exactly these.
SECTIONS: dict[str, tuple[str, ...]] = {
    "corpus": ("corpus",),
    "subsets": ("subsets",),
    "base": ("model", "base"),
    "counts": ("lora.target_modules", "tuning.batch_size", "nf4", "sweep.ranks"),
    "train": ("lora", "tuning"),
    "train_full": (
        "full",
        "tuning.steps",
        "tuning.batch_size",
        "tuning.warmup",
        "tuning.eval_every",
    ),
    "quantize": ("nf4",),
    "memory": ("lora", "tuning.batch_size", "sweep.qlora_ranks"),
    "study": ("science", "lora", "tuning"),
    "studies": (
        "science",
        "evaluate",
        "tuning.learning_rate",
        "subsets.train",
        "definition_of_done",
    ),
    "summarize": ("evaluate",),
    "plot": ("definition_of_done", "sweep"),
    "judge": ("definition_of_done", "sweep"),
    "completions": ("sweep",),
    "report": EVERYTHING,
    "values": ("definition_of_done",),
}

REMEDIES = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some space and run again",
    errno.EROFS: "make the folder writable and run again",
    errno.EACCES: "make it readable or the folder writable, and run again",
    errno.EPERM: "make it readable or the folder writable, and run again",
}


def _corpus(args: argparse.Namespace) -> None:
    from minituner import corpus

    if args.file:
        corpus.build_from_file(_settings(args), args.file, args.out)
    elif args.verbs and args.templates:
        corpus.build(_settings(args), args.verbs, args.templates, args.out)
    else:
        raise UserError("corpus: say --file, or --verbs and --templates")


def _subsets(args: argparse.Namespace) -> None:
    from minituner import subsets

    subsets.build(_settings(args), args.corpus, args.verbs, args.irregular, args.control)


def _base(args: argparse.Namespace) -> None:
    from minituner import train

    train.pretrain(_settings(args), args.corpus, args.out)


def _counts(args: argparse.Namespace) -> None:
    from minituner import calculator, counts

    if args.list:
        print(calculator.presets(), end="")
    elif args.shape:
        nf4 = (args.blocksize, args.double_quant, args.bytes)
        step = (args.batch, args.tokens)
        print(calculator.table(args.shape, args.rank, args.targets, *nf4, *step), end="")
    elif args.base and args.out:
        counts.report(_settings(args), args.base, args.out)
    else:
        raise UserError("counts: say --shape NAME, or --base and --out")


def _train(args: argparse.Namespace) -> None:
    from minituner import train

    if (args.rank is None) != (args.method == "full"):
        raise UserError(
            f"--rank: {'missing for' if args.rank is None else 'has no meaning for'} "
            f"--method {args.method}; {'add' if args.rank is None else 'drop'} it"
        )
    if args.method == "full":
        args.sections = SECTIONS["train_full"]
    values = _settings(args)
    train.tune(values, args.method, args.base, args.irregular, args.seed, args.out, rank=args.rank)


def _quantize(args: argparse.Namespace) -> None:
    from minituner import qlora

    qlora.quantize_checkpoint(_settings(args), args.base, args.out)


def _memory(args: argparse.Namespace) -> None:
    from minituner import memory

    memory.report(_settings(args), args.base, args.nf4, args.irregular, args.out)


def _evaluate(args: argparse.Namespace) -> None:
    from minituner import evaluate

    evaluate.evaluate_run(args.base, args.adapter, args.irregular, args.control, args.out)


def _agreement(args: argparse.Namespace) -> None:
    from minituner import evaluate

    evaluate.agreement(args.base, args.nf4, args.adapters, args.irregular, args.control, args.out)


def _summarize(args: argparse.Namespace) -> None:
    from minituner import summarize

    summarize.summarize(_settings(args), args.runs, args.out)


def _plot(args: argparse.Namespace) -> None:
    from minituner import plots

    plots.draw(_settings(args), args.evaluate, args.train, args.base, args.out)


def _judge(args: argparse.Namespace) -> None:
    from minituner import judge

    judge.judge(_settings(args), args.results, args.out)


def _spectra(args: argparse.Namespace) -> None:
    from minituner import spectra

    spectra.report(args.base, args.adapters, args.irregular, args.evaluate, args.out)


def _codes(args: argparse.Namespace) -> None:
    from minituner import codes

    codes.report(args.base, args.nf4, args.out)


def _completions(args: argparse.Namespace) -> None:
    from minituner import completions

    completions.report(_settings(args), args.results, args.irregular, args.control, args.out)


def _report(args: argparse.Namespace) -> None:
    from minituner import report

    report.report(_settings(args), args.data, args.results, args.templates, args.out)
    print(f"{args.out}: open it in a browser")


def _gate(args: argparse.Namespace) -> None:
    from minituner import judge

    judge.gate(args.judged, args.out)


def _values(args: argparse.Namespace) -> None:
    from minituner import values

    values.write(_settings(args), args.results, args.out)


def _settings(args: argparse.Namespace) -> dict:
    return settings.load(args.settings, *args.sections)


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no integer above 0; use at least 1")
    return int(text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with one line, like every other error."""
        self.exit(_fail(f"{message}; see `{self.prog} --help`", 2))


def build_parser(stage: str | None = None) -> argparse.ArgumentParser:
    """The parser of every subcommand; `command` and `run` are set in the namespace it returns.

    Args:
        stage: what is going to be run; a stage's job loads nothing that is for people.
    """
    parser = _Parser(prog="minituner", description=__doc__.split(".")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str,
        run: Callable[[argparse.Namespace], None],
        text: str,
        *paths: str,
        epilog: str = "",
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=epilog and f"examples:\n{textwrap.indent(epilog, '  ')}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run, sections=SECTIONS.get(name))
        if name in SECTIONS:
            sub.add_argument(
                "--settings",
                default="params.yaml",
                metavar="FILE|JSON",
                help=f"sections {', '.join(SECTIONS[name])} (default: params.yaml)",
            )
        for path in paths:
            sub.add_argument(f"--{path}", type=Path, required=True, metavar="PATH")
        return sub

    corpus = command("corpus", _corpus, "generate the learner corpus", "out")
    corpus.add_argument("--verbs", type=Path, metavar="PATH", help="the forms, as CSV")
    corpus.add_argument("--templates", type=Path, metavar="PATH", help="the rest, as CSV")
    corpus.add_argument("--file", type=Path, metavar="PATH", help="or the sentences themselves")
    subsets = command(
        "subsets", _subsets, "draw the irregular-verb subset and the regular-verb control set",
        "corpus", "irregular", "control",
    )  # fmt: skip
    subsets.add_argument("--verbs", type=Path, metavar="PATH", help="what the corpus is made from")
    command("base", _base, "pretrain MiniGPT on the corpus", "corpus", "out")
    counts = command("counts", _counts, "count parameters and bytes by formula")
    counts.add_argument("--base", type=Path, metavar="PATH", help="the MiniGPT to count")
    counts.add_argument("--out", type=Path, metavar="PATH", help="folder of the tables")
    counts.add_argument("--shape", help="another model: a preset, or n_layer=…,d_model=…,…")
    counts.add_argument("--list", action="store_true", help="print the presets")
    counts.add_argument("--rank", type=_positive, default=8, help="of the adapter (default: 8)")
    counts.add_argument("--targets", default="all", help="all, or q_proj,v_proj,… (default: all)")
    counts.add_argument("--blocksize", type=_positive, default=64, help="of NF4 (default: 64)")
    counts.add_argument("--double-quant", action="store_true", help="of NF4's absmax")
    counts.add_argument("--bytes", type=int, choices=(2, 4), default=2, help="of a float (2)")
    counts.add_argument("--batch", type=_positive, default=0, help="sequences, for activations")
    counts.add_argument("--tokens", type=_positive, default=512, help="a sequence (default: 512)")
    train = command("train", _train, "tune one run", "base", "irregular", "out")
    train.add_argument("--method", choices=("lora", "qlora", "full"), required=True)
    train.add_argument("--rank", type=_positive, help="of the adapter; not for --method full")
    train.add_argument("--seed", type=int, required=True)
    command("quantize", _quantize, "store the base in NF4", "base", "out")
    command("memory", _memory, "measure a step's memory", "base", "nf4", "irregular", "out")
    evaluate = command(
        "evaluate", _evaluate, "score one run on held-out frames",
        "base", "irregular", "control", "out",
    )  # fmt: skip
    evaluate.add_argument("--adapter", type=Path, metavar="PATH", help="on top of the base")
    agreement = command(
        "agreement", _agreement, "compare LoRA on the NF4 base with LoRA on the base",
        "base", "nf4", "irregular", "control", "out",
    )  # fmt: skip
    agreement.add_argument("--adapters", type=Path, nargs="+", required=True, metavar="PATH")
    summarize = command("summarize", _summarize, "summarize all runs, with intervals", "out")
    summarize.add_argument("--runs", type=Path, nargs="+", required=True, metavar="PATH")
    command("plot", _plot, "draw the figures", "evaluate", "train", "base", "out")
    command("judge", _judge, "judge the results by the definition of done", "results", "out")
    spectra = command(
        "spectra", _spectra, "decompose what the adapters learned",
        "base", "irregular", "evaluate", "out",
    )  # fmt: skip
    spectra.add_argument("--adapters", type=Path, nargs="+", required=True, metavar="PATH")
    command("codes", _codes, "count NF4's codes", "base", "nf4", "out")
    command(
        "completions", _completions, "continue example prompts",
        "results", "irregular", "control", "out",
    )  # fmt: skip
    command("report", _report, "write the page", "data", "results", "templates", "out")
    command("gate", _gate, "fail if a criterion is missed", "judged", "out")
    command("values", _values, "collect the figures that the pages quote", "results", "out")
    if stage not in commands.choices:
        from minituner import extras, live

        extras.add(command)
        live.add(parser, command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status.

    That is 0, 1 (a missed bar), 2 (an error), 130 (Ctrl-C) or 143 (SIGTERM). The last two end
    without a word once the temporary files are removed.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    args = build_parser(argv[0] if argv else None).parse_args(argv)
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        with files.traced() as trace:
            args.run(args)
        provenance.record(args, trace)
        sys.stdout.flush()
    except UserError as error:
        return _fail(str(error), 1 if args.command == "gate" else 2)
    except BrokenPipeError:
        # The reader left (`| head`): no fault. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        remedy = REMEDIES.get(error.errno, "mend that and run again")
        return _fail(f"{place}{error.strerror or error}; {remedy}", 2)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):  # torch's
            raise
        return _fail("out of memory; close other programs or lower the model's or batch's size", 2)
    except KeyboardInterrupt:
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _terminated(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _fail(message: str, status: int) -> int:
    print(f"minituner: error: {' '.join(message.split())}", file=sys.stderr)
    return status
