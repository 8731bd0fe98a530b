"""Mutation testing: `python -m tests.mutants --mutants 120`, see docs/reliability.md.

Works in a copy of the project, build/mutants/tree, where what came of each mutant is kept, so that
a later run goes on. What was not noticed is tried again, since a test may have been added.
"""

import minituner  # noqa: F401, I001  first of all, before torch is loaded: it pins the kernels
import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numba  # noqa: F401  loaded once: each run of tests is a fork of this process
import hypothesis  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import safetensors.torch  # noqa: F401

from tests.mutants import covered, drawn
from tests.support import reliability
from tests.support.tiny_project import ROOT

FOLDER = ROOT / "build" / "mutants"
TREE = FOLDER / "tree"
HARMLESS = Path(__file__).with_name("harmless.json")  # mutant → why no test can notice it
SLOWER, SECONDS = 10, 120  # a mutant hangs if its tests take that many times as long, and this
PATIENCE = 3600  # on the clock, where the limit above is of CPU time
NOTICED = ("noticed", "hangs")
MEMORY = 16 << 30  # addresses, of which torch takes several GB


def copy_project() -> None:
    """Make the copy equal to what git knows here; what is equal keeps its time, for the caches."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    names = [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        source, target = ROOT / name, TREE / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for path in (*TREE.glob("minituner/**/*.py"), *TREE.glob("tests/**/*.py")):
        if str(path.relative_to(TREE)) not in names:
            path.unlink()


def fork(action: Callable[[], int], seconds: float, log: Path) -> int:
    """The status of an action in the copy, in a process of its own; negative if it was killed."""
    pid = os.fork()
    if not pid:
        status = 70
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.chdir(TREE)
            os.environ["PYTHONPATH"] = str(TREE)
            sys.path[:] = [str(TREE), *(p for p in sys.path if Path(p).resolve() != ROOT)]
            for name in list(sys.modules):
                if name.partition(".")[0] in ("minituner", "tests"):
                    del sys.modules[name]
            status = action()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    began, status = time.monotonic(), None
    try:
        while status is None and time.monotonic() - began < PATIENCE:
            done, how = os.waitpid(pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(how) if done else None
            time.sleep(0.05)
    finally:
        try:
            os.killpg(pid, signal.SIGKILL)  # what it started, too
        except ProcessLookupError:
            pass
        if status is None:
            os.waitpid(pid, 0)
    return -signal.SIGKILL if status is None else status


def measure() -> covered.Covered:
    """Which tests run which lines, measured again where sources or a room's tests changed."""
    paths = []
    for room in covered.ROOMS:
        folders = [TREE / "minituner", TREE / "tests" / "support", TREE / "tests" / room]
        files = [p for f in folders for p in ([f] if f.is_file() else sorted(f.rglob("*.py")))]
        content = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
        paths.append(FOLDER / "covered" / f"{room}-{content[:16]}.json")
        if not paths[-1].exists():
            print(f"measuring which lines tests/{room} runs …", flush=True)
            log = FOLDER / f"{room}.log"
            fork(lambda room=room, out=paths[-1]: covered.measure(TREE, room, out), PATIENCE, log)
    return covered.together(paths)


def attempt(mutant: drawn.Mutant, found: covered.Covered) -> dict[str, str]:
    """Put one fault in and run the tests of its line: what noticed it, or nothing."""
    tests = found.tests_of(mutant.path, mutant.line)
    if not tests:
        return {"mutant": mutant.name, "outcome": "no test runs the line"}
    path, said = TREE / mutant.path, FOLDER / "failed.txt"
    source, stat = path.read_bytes(), path.stat()
    limit = SLOWER * sum(found.seconds[test] for test in tests) + SECONDS
    said.write_text("")
    try:
        path.write_text(mutant.code(), encoding="utf-8")
        status = fork(
            lambda: covered.run_tests(tests, said.write_text), limit, FOLDER / "mutant.log"
        )
    finally:
        path.write_bytes(source)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    outcome = "unnoticed" if status in (0, 5) else "hangs" if status < 0 else "noticed"
    return {"mutant": mutant.name, "outcome": outcome, "by": said.read_text()}


def counts(mutants: list[drawn.Mutant], attempts: list[dict[str, str]], made: int) -> dict:
    """What the page says, room by room; an outcome counts if its mutant is still drawn."""
    outcomes = {row["mutant"]: row["outcome"] for row in attempts}
    at_first = {row["mutant"]: row["outcome"] for row in reversed(attempts)}
    reasons = json.loads(HARMLESS.read_text(encoding="utf-8"))
    rooms: dict[str, dict[str, int]] = {}
    missed = []
    for mutant in mutants:
        if mutant.name not in outcomes:
            continue
        room = rooms.setdefault(reliability.room_of(mutant.name), {})
        noticed = outcomes[mutant.name] in NOTICED
        room["faults"] = room.get("faults", 0) + 1
        room["at first"] = room.get("at first", 0) + (at_first[mutant.name] in NOTICED)
        room["noticed"] = room.get("noticed", 0) + noticed
        if not noticed:
            reason = reasons.get(mutant.name)
            missed.append({"fault": mutant.name, "changes nothing": reason})
    missed.sort(key=lambda row: row["fault"])
    return {"possible": made, "rooms": dict(sorted(rooms.items())), "unnoticed": missed}


def main() -> None:
    """Try the first mutants that are drawn and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=120)
    args = parser.parse_args()
    copy_project()
    every = drawn.all_mutants(TREE)
    found = measure()
    log = FOLDER / "outcomes.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    attempts = list(map(json.loads, lines))
    noticed = {row["mutant"] for row in attempts if row["outcome"] in NOTICED}
    for mutant in every[: args.mutants]:
        if mutant.name in noticed:
            continue
        row = attempt(mutant, found)
        print(f"{row['outcome']:10} {mutant.name}", flush=True)
        attempts.append(row)
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    written = counts(every[: args.mutants], attempts, len(every))
    reliability.MUTATED.write_text(
        json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    reliability.write_page({})


if __name__ == "__main__":
    main()
