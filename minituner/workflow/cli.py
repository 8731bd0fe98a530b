"""The `minituner` command: it finds the subcommand's file, parses and reports; no science here.

A command is found by its name, as the file `commands/NAME.py`; no other command is loaded.
"""

import argparse
import contextlib
import errno
import importlib
import io
import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn, TextIO

from minituner.foundation import checkout
from minituner.foundation.errors import UserError
from minituner.foundation.trace import traced
from minituner.workflow import provenance

COMMANDS = Path(__file__).resolve().parents[1] / "commands"
REMEDIES = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some space and run again",
    errno.EROFS: "make the folder writable and run again",
    errno.EACCES: "make it readable or the folder writable, and run again",
    errno.EPERM: "make it readable or the folder writable, and run again",
}


def command(name: str) -> ModuleType:
    """The module of a subcommand."""
    return importlib.import_module(f"minituner.commands.{name}")


def help_of(name: str) -> str:
    """A subcommand's help: for a stage that of help.py, else its file's first sentence."""
    from minituner.workflow import help

    if name in help.STAGES:
        return help.STAGES[name][""]
    text = (command(name).__doc__ or name).partition("\n")[0].rstrip(".")  # none by python -OO
    return text[0].lower() + text[1:]


class _Parser(argparse.ArgumentParser):
    def explain(self) -> None:
        """Add the words for people that stand in help.py, since no job loads it."""
        from minituner.workflow import help

        name = self.prog.split()[-1]
        self.description = help_of(name)
        help.complete(self, getattr(command(name), "SETTINGS", ()))

    def format_help(self) -> str:
        """The help, with all its words."""
        self.explain()
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """End with one line, like every other error."""
        self.exit(_fail(f"{message}; see `{self.prog} --help`", 2))


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of one subcommand, or of all if there is none of that name."""
    names = sorted(path.stem for path in COMMANDS.glob("[!_]*.py"))
    parser = _Parser(prog="minituner", description="The `minituner` command.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    if only in names:
        _add(subparsers, only, command(only))
        return parser
    from minituner.workflow import help

    helps = {name: help_of(name) for name in help.in_groups(names)}
    parser.format_help = lambda: help.explanation(helps)
    for name, text in helps.items():
        _add(subparsers, name, command(name), text).explain()
    return parser


def _add(
    subparsers: argparse._SubParsersAction, name: str, module: ModuleType, text: str = ""
) -> _Parser:
    """Add a subcommand from what its module says of it, with a line for the list of all."""
    examples = getattr(module, "EXAMPLES", "")
    sub = subparsers.add_parser(
        name,
        help=text,
        epilog=examples and f"examples:\n{textwrap.indent(examples, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if hasattr(module, "SETTINGS"):
        sub.add_argument("--settings", default="params.yaml", metavar="FILE|JSON")
    for path in getattr(module, "PATHS", ()):
        sub.add_argument(f"--{path}", type=Path, required=True, metavar="PATH")
    if hasattr(module, "arguments"):
        module.arguments(sub)
    sub.add_argument("--log", type=Path, metavar="FILE")
    sub.set_defaults(run=_beside_what_it_reads(module))
    return sub


def _beside_what_it_reads(module: ModuleType) -> Callable[[argparse.Namespace], None]:
    """A subcommand's `run`, once its `--out` is none of the paths that it reads.

    A folder of results alone is both: a verdict is written beside what it was drawn from.
    """

    def run(args: argparse.Namespace) -> None:
        for name in getattr(module, "PATHS", ()):
            if name in ("out", "results") or not getattr(args, "out", None):
                continue
            if getattr(args, name).resolve() == args.out.resolve():
                problem = f"is what --{name} names, and would be overwritten"
                raise UserError(f"--out: {args.out}: {problem}; name another path")
        module.run(args)

    return run


def check_checkout() -> None:
    """Refuse to work in a checkout by the code of another, which share one environment.

    Raises:
        UserError: naming both.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "minituner" / "workflow" / "cli.py").is_file():
            if not folder.samefile(checkout.ROOT):
                raise UserError(
                    f"{folder}: this command runs the code of another place, {checkout.ROOT}; run "
                    "`python -m minituner`, or `pip install -e .` for a command of this one"
                )
            return


class _Both:
    """A stream whose text goes to two."""

    def __init__(self, one: TextIO, other: TextIO):
        self.one, self.other = one, other

    def write(self, text: str) -> int:
        self.one.write(text)
        return self.other.write(text)

    def flush(self) -> None:
        self.one.flush()
        self.other.flush()

    def isatty(self) -> bool:
        """No: no progress bar belongs into a log."""
        return False


@contextlib.contextmanager
def logged(path: Path | None) -> Iterator[None]:
    """Have what is printed inside go to a log, errors to the terminal as well."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", buffering=1) as log:
        both = _Both(log, sys.stderr)
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(both):
            try:
                yield
            except Exception:
                traceback.print_exc(file=log)
                raise


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status.

    That is 0, 1 (a missed bar), 2 (an error), 130 (Ctrl-C) or 143 (SIGTERM). The last two end
    without a word once the temporary files are removed.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: not every terminal has a …
    args = build_parser(argv[0] if argv else None).parse_args(argv)
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        with logged(args.log):
            return _run(args)
    except OSError as error:
        return _fail_of_system(error)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(args: argparse.Namespace) -> int:
    """Run the subcommand; what goes wrong becomes one line and a status."""
    try:
        check_checkout()
        with traced() as trace:
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
        return _fail_of_system(error)
    except (MemoryError, RuntimeError, ImportError) as error:
        # torch's own words, and the loader's for a library that finds no room.
        words = ("allocate memory", "failed to map segment")
        if not isinstance(error, MemoryError) and not any(word in str(error) for word in words):
            raise
        return _fail("out of memory; close other programs or lower the model's or batch's size", 2)
    except KeyboardInterrupt:
        return 130
    return 0


def _terminated(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _fail_of_system(error: OSError) -> int:
    place = f"{error.filename}: " if error.filename else ""
    remedy = REMEDIES.get(error.errno, "mend that and run again")
    return _fail(f"{place}{error.strerror or error}; {remedy}", 2)


def _fail(message: str, status: int) -> int:
    print(f"minituner: error: {' '.join(message.split())}", file=sys.stderr)
    return status
