"""docs/reliability.md: what each suite saw, in a table of its own, and what fuzzing counted."""

import json

import pytest

from tests.support.tiny_project import ROOT

PAGE = ROOT / "docs" / "reliability.md"
FUZZED = ROOT / "tests" / "fuzz"
BROUGHT = "brought"
SUITES = {
    # folder in tests, or the tests that use `tried`: (heading, what its cases have in common)
    "faults": (
        "Faults injected",
        [
            "Each on a tiny project that runs the whole workflow, with real processes and disks.",
            '"The same bytes" are those of a run without the fault, file by file.',
        ],
    ),
    "cluster": (
        "On more than one machine",
        [
            "The same project on a Slurm of two nodes, every job through `sbatch`, and with stores",
            "on an sshd and a WebDAV server, all started on one machine by `make cluster`.",
        ],
    ),
    BROUGHT: (
        "What people bring with them",
        [
            "Kinds of corpora, numbers, shells and habits that went wrong in other projects, as",
            "public reports say; each is tried here by a test of the room that it concerns.",
        ],
    ),
}
COLUMNS = {BROUGHT: "| kind | known from | outcome |"}  # of the others: fault, where, outcome


@pytest.fixture(scope="session")
def seen(request):
    """Suite → its rows: fault, where, outcome. With --page its table is written anew."""
    found = {}
    yield found
    if request.config.getoption("--page", False) and not request.session.testsfailed:
        text = PAGE.read_text(encoding="utf-8")
        tables = {suite: rows(text, suite) for suite in SUITES} | found
        PAGE.write_text(markdown(tables, read_counts()), encoding="utf-8")


def _noting(seen, suite, config):
    def row(*cells):
        seen.setdefault(suite, []).append(cells)
        if not config.getoption("--page", False):
            line = f"| {' | '.join(cells)} |"
            assert line in PAGE.read_text(encoding="utf-8"), f"{line}: make reliability cluster"

    return row


@pytest.fixture
def saw(request, seen):
    """Called at the end of a test with what held: the page must say just that, or will.

    It takes the fault, where it was injected, and the outcome.
    """
    return _noting(seen, request.path.parent.name, request.config)


@pytest.fixture
def tried(request, seen):
    """The same for kinds of what people bring: the kind, what reports it, and the outcome.

    A report is named as on GitHub, owner/name#number, several apart by blanks; there may be none.
    """
    row = _noting(seen, BROUGHT, request.config)

    def tried_row(kind, reports, outcome):
        links = []
        for report in reports.split():
            repository, number = report.split("#")
            links.append(f"[{report}](https://github.com/{repository}/issues/{number})")
        row(kind, ", ".join(links) or "no report", outcome)

    return tried_row


def markdown(tables, fuzzed):
    """The page.

    Args:
        tables: suite → fault, where, outcome of each test that held.
        fuzzed: what `python -m tests.fuzz --out` wrote, "drawn" and "guided".
    """
    lines = [
        "# Reliability",
        "",
        "What was done to the project and what came of it. `make reliability cluster fuzz` does it",
        "all again and writes this page. CI runs the quickest case of each kind of fault and",
        "of work on more than one machine, and a few hundred bad inputs.",
    ]
    for suite, (heading, common) in SUITES.items():
        lines += ["", f"## {heading}", "", *common, ""]
        lines += [COLUMNS.get(suite, "| fault | where | outcome |"), "|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in sorted(set(tables[suite]))]
    targets = {way: found["targets"] for way, found in fuzzed.items()}
    cases = {way: sum(t["cases"] for t in each.values()) for way, each in targets.items()}
    steered = fuzzed["guided"]["steered"]
    lines += [
        "",
        "## Bad inputs tried",
        "",
        "Valid files spoilt: bits, bytes and pieces changed, cut, repeated or inserted; values,",
        "types and names replaced with hostile ones. Each case must be accepted or refused with",
        "one line, without a traceback, a hang, a write outside its own folder, a program started,",
        "a pickle, or memory for what a file merely claims.",
        "",
        f"{cases['drawn']:,} cases were drawn at random, by hypothesis.",
        f"{cases['guided']:,} were steered by coverage: atheris watched which branches of",
        f"`minituner` a case reached, kept the {steered['kept']:,} that reached something new and",
        f"made further cases of them. The branches grew from {steered['branches_at_first']:,} to",
        f"{steered['branches_at_last']:,}.",
        "",
        "| input | cases | accepted | refused in one line | failed |",
        "|---|--:|--:|--:|--:|",
    ]
    columns = ("cases", "accepted", "refused", "failed")
    total = dict.fromkeys(columns, 0)
    for name, target in targets["drawn"].items():
        both = [each[name] for each in targets.values()]
        counts = {column: sum(each.get(column, 0) for each in both) for column in columns}
        total = {column: total[column] + counts[column] for column in columns}
        cells = [f"{counts[column]:,}" for column in columns]
        lines.append(f"| {' | '.join([target['input'], *cells])} |")
    lines.append(f"| **all** | {' | '.join(f'{total[column]:,}' for column in columns)} |")
    return "\n".join(lines) + "\n"


def rows(text, suite):
    """The rows of a suite's table."""
    section = text.partition(f"\n## {SUITES[suite][0]}\n")[2].partition("\n## ")[0]
    table = section.partition("|---|---|---|\n")[2].splitlines()
    return [tuple(line[2:-2].split(" | ")) for line in table if line]


def read_counts():
    """What the last `make fuzz` counted, by the way in which it made its cases."""
    ways = ("drawn", "guided")
    return {way: json.loads((FUZZED / f"{way}.json").read_text("utf-8")) for way in ways}
