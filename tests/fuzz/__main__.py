"""Fuzz the parsers: `python -m tests.fuzz --cases 100000`, or `--guided` to let coverage steer.

Each case must be accepted or refused with one line, within seconds, without a write outside its own
folder, a program started, a pickle or memory for sizes that a file merely claims. Prints JSON.
"""

import argparse
import collections
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

KERNELS = Path(__file__).resolve().parents[2] / "minituner" / "compute" / "kernels"
SECONDS = 10  # of CPU time for one case before it counts as a hang: many times the slowest
PATIENCE = 300  # the same on the clock, for a case that waits for something; a busy machine is slow
MEMORY = 2 << 30  # bytes that a case may take beyond what is loaded
WRITES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.chmod"}
FORBIDDEN = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.",
    "pickle.",
)


class Hang(BaseException):
    """A case took too long."""


class Watch:
    """Runs cases and keeps what came of them."""

    def __init__(self, folder: Path):
        self.folder, self.outside, self.active = folder, [], False
        self.outcome, self.failures, self.cases = collections.Counter(), {}, 0
        sys.addaudithook(self.audit)
        for sign in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(sign, self.hang)

    def hang(self, *_):
        raise Hang

    def audit(self, event: str, args: tuple) -> None:
        """Note each write below another folder, and whatever no parser has to do."""
        if not self.active:
            return
        if event == "open" and isinstance(args[0], str | bytes):
            flags = args[2] if isinstance(args[2], int) else 0
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        else:
            writes = event in WRITES
        paths = [p for p in args[:2] if isinstance(p, str | bytes)] if writes else []
        if event == "open":
            paths = paths[:1]
        for path in map(os.fsdecode, paths):
            if not os.path.abspath(path).startswith((str(self.folder), os.devnull)):
                self.outside.append(f"{event} {path}")
        if event.startswith(FORBIDDEN):
            self.outside.append(event)

    def run(self, name: str, case, data: bytes) -> None:
        """One case: `case` reads what `data` makes of the input called `name`."""
        from minituner.foundation.errors import UserError

        self.cases += 1
        fault = None
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        self.active, self.outside = True, []
        try:
            case()
            outcome = "accepted"
        except UserError as error:
            outcome = "refused"
            if len(" ".join(str(error).split())) > 2001:  # as cli.py folds it
                fault = f"a message of {len(str(error))} characters"
        except OSError:
            outcome = "refused"
        except (Exception, Hang) as error:
            outcome = "failed"
            place = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error}"
        finally:
            self.active = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self.outside:
            fault = f"outside its folder: {self.outside[0]}"
        self.outcome[name, outcome] += 1
        if fault:
            self.failures.setdefault(f"{name}: {fault[:300]}"[:120], (fault[:300], data.hex()))


def main() -> int:
    """Run the cases and print what came of them; status 1 if one failed."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="of all targets together")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="steered by coverage, with atheris")
    parser.add_argument("--out", type=Path, help="write the JSON to this file as well")
    parser.add_argument("--replay", metavar="HEX", help="one case of one target again")
    options = parser.parse_args()
    options.out = options.out and options.out.absolute()
    # A module loaded for the first time inside a case would write its bytecode: outside the folder.
    sys.dont_write_bytecode = True
    if options.guided:
        import atheris

        # Coverage is Python's: numba cannot compile a function that reports its branches.
        compiled = [f"minituner.compute.kernels.{path.stem}" for path in KERNELS.glob("*.py")]
        with atheris.instrument_imports(include=["minituner"], exclude=compiled):
            from tests.fuzz import targets
    else:
        from tests.fuzz import targets
    from tests.fuzz import seeds

    place = "/dev/shm" if os.path.isdir("/dev/shm") else None  # where a flush to disk costs nothing
    with tempfile.TemporaryDirectory(prefix="fuzz", dir=place) as name:
        root = Path(name)
        seed = seeds.folder(root / "seed")
        (seed / "data").mkdir()
        for table in ("verbs", "templates"):
            (seed / "data" / f"{table}.csv").write_bytes((seed / f"{table}.csv").read_bytes())
        os.chdir(seed)
        targets.quiet(lambda: targets.warm_up(seed, root / "warm-up"))
        watch = Watch(root)
        loaded = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (loaded + MEMORY,) * 2)

        def once(name: str, data: bytes) -> None:
            with tempfile.TemporaryDirectory(dir=root) as work:
                choose = targets.Choices(data)
                case = targets.TARGETS[name][1]
                call = lambda: targets.quiet(lambda: case(seed, Path(work), choose))  # noqa: E731
                watch.run(name, call, data)

        names = options.target or list(targets.TARGETS)
        if options.replay is not None:
            targets.TARGETS[names[0]][1](
                root / "seed", root, targets.Choices(bytes.fromhex(options.replay))
            )
            return 0

        def report(**steered: int) -> int:
            counts = {
                name: {"input": targets.TARGETS[name][0]}
                | {kind: n for (of, kind), n in watch.outcome.items() if of == name}
                | {"cases": sum(n for (of, _), n in watch.outcome.items() if of == name)}
                for name in names
            }
            seen = {"targets": counts, "failures": watch.failures}
            text = json.dumps(seen | ({"steered": steered} if steered else {}), indent=2)
            print(text, flush=True)
            if options.out:
                options.out.write_text(text + "\n", encoding="utf-8")
            return 1 if watch.failures else 0

        if options.guided:
            guided(once, names, options, report, root)  # ends the process
        for name in names:
            drawn(lambda data, name=name: once(name, data), options, len(names))
            print(f"{name}: {watch.cases} cases so far", file=sys.stderr, flush=True)
        os.chdir("/")
        return report()


def drawn(once, options, parts: int) -> None:
    """Cases drawn by hypothesis."""
    import hypothesis
    from hypothesis import strategies as st

    n = -(-options.cases // parts)
    checks = list(hypothesis.HealthCheck)

    @hypothesis.seed(options.seed)
    @hypothesis.settings(max_examples=n, database=None, deadline=None, suppress_health_check=checks)
    @hypothesis.given(st.binary(min_size=8, max_size=48))
    def each(data):
        once(data)

    each()


def guided(once, names: list[str], options, report, root: Path) -> None:
    """Cases steered by the branches that they reach in minituner; the first byte is the target.

    libFuzzer keeps a case that reaches something new and makes further cases of it. Its own account
    of that, on the standard error, is kept and counted: branches after the first case and after
    the last, and the cases kept.
    """
    import atheris

    done = 0
    log = root / "libfuzzer.log"

    def each(data: bytes) -> None:
        nonlocal done
        once(names[data[0] % len(names) if data else 0], data[1:])
        done += 1
        if done == options.cases:  # libFuzzer would leave without a word
            told = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)/", log.read_text(errors="replace"))
            at_first, at_last, kept = int(told[0][0]), int(told[-1][0]), int(told[-1][1])
            status = report(branches_at_first=at_first, branches_at_last=at_last, kept=kept)
            shutil.rmtree(root)
            os._exit(status)

    print(f"libFuzzer's log is {log}", file=sys.stderr, flush=True)
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 2)
    arguments = [f"-seed={options.seed + 1}", "-max_len=48", "-len_control=0"]
    atheris.Setup([sys.argv[0], *arguments], each)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
