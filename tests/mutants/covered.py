"""Which tests run which lines: one run of the unit tests under coverage, a room at a time."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import pytest

# What of tests/ holds the mutated rooms to their words; no test of these builds a whole project.
ROOMS = ["test_data.py", "test_evaluate.py", "test_lora.py", "test_minituner.py", "test_model.py"]
ROOMS += ["test_nf4.py", "test_qlora.py", "test_train.py"]
ROOMS += ["analysis", "checkpoints", "commands", "compute", "corpus"]
CHOSEN = ("-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "-m", "not slow and not long")
# These run an emulator or a whole project, in other processes.
CHOSEN += ("--ignore=tests/compute/test_arm64.py", "--ignore=tests/compute/test_everywhere.py")
CHOSEN += ("--deselect=tests/commands/test_imports.py",)


class Covered(NamedTuple):
    """What one or more rooms of tests run."""

    lines: dict[str, dict[str, list[str]]]  # file → line → tests; none if importing alone runs it
    seconds: dict[str, float]  # of each test that passes

    def tests_of(self, path: str, line: int) -> list[str]:
        """The tests that run a line, those named after its file first, then the quickest first.

        Of a line that is run at import all tests of the file.
        """
        lines = self.lines.get(path, {})
        if str(line) not in lines:
            return []
        tests = set(lines[str(line)]) or {test for tests in lines.values() for test in tests}
        stem = Path(path).stem
        return sorted(tests, key=lambda test: (stem not in test, self.seconds[test], test))


class _Contexts:
    """Tells coverage which test runs, fixtures included, and keeps its time."""

    def __init__(self, measured: coverage.Coverage):
        self.measured = measured
        self.seconds: dict[str, float] = {}
        self.lost: set[str] = set()  # tests that fail or are skipped here: they notice nothing

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.measured.switch_context(item.nodeid)
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = round(time.monotonic() - began, 3)
            self.measured.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.lost.add(report.nodeid)


def measure(tree: Path, room: str, out: Path) -> int:
    """Run a room's tests in a copy of the project and write what `Covered` holds."""
    measured = coverage.Coverage(data_file=None, include=[f"{tree}/minituner/*"])
    contexts = _Contexts(measured)
    measured.start()
    pytest.main([f"tests/{room}", *CHOSEN], plugins=[contexts])
    measured.stop()
    data = measured.get_data()
    lines = {
        str(Path(path).relative_to(tree)): {
            line: sorted(set(tests) - contexts.lost - {""})
            for line, tests in data.contexts_by_lineno(path).items()
        }
        for path in sorted(data.measured_files())
    }
    seconds = {test: s for test, s in contexts.seconds.items() if test not in contexts.lost}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(Covered(lines, seconds)._asdict()), encoding="utf-8")
    return 0


def together(paths: list[Path]) -> Covered:
    """What several rooms run. A line that importing runs in one of them has no tests of its own."""
    whole = Covered({}, {})
    for path in paths:
        part = Covered(**json.loads(path.read_text(encoding="utf-8")))
        whole.seconds.update(part.seconds)
        for name, lines in part.lines.items():
            mine = whole.lines.setdefault(name, {})
            for line, tests in lines.items():
                before = mine.get(line, tests)
                mine[line] = before + tests if before and tests else []
    return whole


class _Only:
    """Has pytest run some tests in an order of ours, and keeps the first that fails."""

    def __init__(self, tests: list[str]):
        self.place = {test: i for i, test in enumerate(tests)}
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.place),
            key=lambda item: self.place[item.nodeid],
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid


def run_tests(tests: list[str], say: Callable[[str], Any]) -> int:
    """pytest's status after some tests, stopped at the first that fails, whose name is said."""
    # A mutant must leave nothing behind.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    only = _Only(tests)
    files = sorted({test.partition("::")[0] for test in tests})
    status = pytest.main([*files, "-x", *CHOSEN], plugins=[only])
    say(only.failed)
    return int(status)
