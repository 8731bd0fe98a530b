"""The `minituner` command: one subcommand a rule. It parses, calls and reports; no science here."""

import argparse
import errno
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from minituner.commands import stages
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.workflow import provenance

REMEDIES = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some space and run again",
    errno.EROFS: "make the folder writable and run again",
    errno.EACCES: "make it readable or the folder writable, and run again",
    errno.EPERM: "make it readable or the folder writable, and run again",
}


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
        sub.set_defaults(run=run, sections=stages.SECTIONS.get(name))
        if name in stages.SECTIONS:
            sub.add_argument(
                "--settings",
                default="params.yaml",
                metavar="FILE|JSON",
                help=f"sections {', '.join(stages.SECTIONS[name])} (default: params.yaml)",
            )
        for path in paths:
            sub.add_argument(f"--{path}", type=Path, required=True, metavar="PATH")
        return sub

    def stage_of(run: Callable[[argparse.Namespace], None], *paths: str) -> argparse.ArgumentParser:
        text = run.__doc__.rstrip(".")
        return command(run.__name__, run, text[0].lower() + text[1:], *paths)

    corpus = stage_of(stages.corpus, "out")
    corpus.add_argument("--verbs", type=Path, metavar="PATH", help="the forms, as CSV")
    corpus.add_argument("--templates", type=Path, metavar="PATH", help="the rest, as CSV")
    corpus.add_argument("--file", type=Path, metavar="PATH", help="or the sentences themselves")
    subsets = stage_of(stages.subsets, "corpus", "irregular", "control")
    subsets.add_argument("--verbs", type=Path, metavar="PATH", help="what the corpus is made from")
    base = stage_of(stages.base, "corpus", "out")
    counts = stage_of(stages.counts)
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
    train = stage_of(stages.train, "base", "irregular", "out")
    train.add_argument("--method", choices=("lora", "qlora", "full"), required=True)
    train.add_argument("--rank", type=_positive, help="of the adapter; not for --method full")
    train.add_argument("--seed", type=int, required=True)
    for trained in (base, train):
        side_by_side = "that compute a batch's shards side by side (default: one a shard)"
        trained.add_argument("--threads", type=_positive, help=side_by_side)
    stage_of(stages.quantize, "base", "out")
    stage_of(stages.memory, "base", "nf4", "irregular", "out")
    evaluate = stage_of(stages.evaluate, "base", "irregular", "control", "out")
    evaluate.add_argument("--adapter", type=Path, metavar="PATH", help="on top of the base")
    agreement = stage_of(stages.agreement, "base", "nf4", "irregular", "control", "out")
    agreement.add_argument("--adapters", type=Path, nargs="+", required=True, metavar="PATH")
    summarize = stage_of(stages.summarize, "out")
    summarize.add_argument("--runs", type=Path, nargs="+", required=True, metavar="PATH")
    stage_of(stages.plot, "evaluate", "train", "base", "out")
    stage_of(stages.judge, "results", "out")
    spectra = stage_of(stages.spectra, "base", "irregular", "evaluate", "out")
    spectra.add_argument("--adapters", type=Path, nargs="+", required=True, metavar="PATH")
    stage_of(stages.codes, "base", "nf4", "out")
    stage_of(stages.completions, "results", "irregular", "control", "out")
    stage_of(stages.report, "data", "results", "templates", "out")
    stage_of(stages.gate, "judged", "out")
    stage_of(stages.values, "results", "out")
    if stage not in commands.choices:
        from minituner.commands import extras, live

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
        with storage.traced() as trace:
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
