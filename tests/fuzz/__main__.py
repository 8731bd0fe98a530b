"""Fuzz the parsers: `python -m tests.fuzz --cases 100000`, or `--guided` to let coverage steer.

Each case must be accepted or refused with one line, within seconds, without a write outside its own
folder, a program started, a pickle or memory for sizes that a file merely claims. Prints JSON.
"""

import argparse
import collections
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path

SECONDS = 20  # of one case before it counts as a hang: many times the slowest on a busy machine
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
        signal.signal(signal.SIGALRM, self.hang)

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
        from minituner.errors import UserError

        self.cases += 1
        fault = None
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
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
    if options.guided:
        import atheris

        with atheris.instrument_imports(include=["minituner"]):
            from . import targets
    else:
        from . import targets
    from . import seeds

    place = "/dev/shm" if os.path.isdir("/dev/shm") else None  # where a flush to disk costs nothing
    with tempfile.TemporaryDirectory(prefix="fuzz", dir=place) as name:
        root = Path(name)
        seed = seeds.folder(root / "seed")
        (seed / "data").mkdir()
        for table in ("verbs", "templates"):
            (seed / "data" / f"{table}.csv").write_bytes((seed / f"{table}.csv").read_bytes())
        os.chdir(seed)
        # Once before: some libraries make folders of their own when they are first used.
        targets.quiet(lambda: targets.pretrain(seed / "c.parquet", root / "warm-up"))
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

        def report() -> int:
            counts = {
                name: {"input": targets.TARGETS[name][0]}
                | {kind: n for (of, kind), n in watch.outcome.items() if of == name}
                | {"cases": sum(n for (of, _), n in watch.outcome.items() if of == name)}
                for name in names
            }
            text = json.dumps({"targets": counts, "failures": watch.failures}, indent=2)
            print(text, flush=True)
            if options.out:
                options.out.write_text(text + "\n", encoding="utf-8")
            return 1 if watch.failures else 0

        if options.guided:
            guided(once, names, options, report)  # ends the process
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


def guided(once, names: list[str], options, report) -> None:
    """Cases steered by the branches that they reach in minituner; the first byte is the target."""
    import atheris

    done = 0

    def each(data: bytes) -> None:
        nonlocal done
        once(names[data[0] % len(names) if data else 0], data[1:])
        done += 1
        if done == options.cases:
            os._exit(report())  # libFuzzer would leave without a word

    atheris.Setup([sys.argv[0], f"-seed={options.seed + 1}", "-max_len=48"], each)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
