"""docs/reliability.md: what each suite saw, in a table of its own, and what was counted."""

import json

import pytest

from tests.support.tiny_project import ROOT

PAGE = ROOT / "docs" / "reliability.md"
FUZZED = ROOT / "tests" / "fuzz"
MUTATED = ROOT / "tests" / "mutants" / "counts.json"
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
            "Kinds of adapters, corpora, numbers, shells and habits that went wrong in other",
            "projects, as public reports say; each is tried here by a test of the room that it",
            "concerns.",
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
        write_page(found)


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


def write_page(found):
    """Write the page anew: these suites' tables, the others as they are, and all counts."""
    text = PAGE.read_text(encoding="utf-8")
    tables = {suite: rows(text, suite) for suite in SUITES} | found
    PAGE.write_text(markdown(tables, read_counts(), read_mutants()), encoding="utf-8")


def markdown(tables, fuzzed, mutated):
    """The page.

    Args:
        tables: suite → fault, where, outcome of each test that held.
        fuzzed: what `python -m tests.fuzz --out` wrote, "drawn" and "guided".
        mutated: what `python -m tests.mutants` wrote.
    """
    lines = [
        "# Reliability",
        "",
        "What was done to the project and what came of it. `make reliability cluster fuzz` and",
        "`make mutants` do it all again and write this page. CI runs the quickest case of each",
        "kind of fault and of work on more than one machine, and a few hundred bad inputs.",
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
    lines += _mutants(mutated) if mutated else []
    return "\n".join(lines) + "\n"


def _mutants(mutated):
    """The section on faults in the sources."""
    lines = [
        "",
        "## Faults put into the sources",
        "",
        "One small change at a time, such as another number, operator or keyword, or an argument",
        f"left out: of {mutated['possible']:,} that [mutmut](https://github.com/boxed/mutmut)'s",
        "operators make, as many as the table counts were drawn at random. Words to people, types",
        "and compiled loops were left alone. A fault is noticed if a unit test that runs its line",
        "fails, or no longer ends; a line that no test runs has none to notice it. What was not",
        "noticed at first got a test, or the reason why it changes nothing.",
        "",
        "| sources | faults | noticed at first | noticed now | changes nothing | not noticed |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    unnoticed, total = mutated["unnoticed"], [0, 0, 0, 0, 0]
    for room, counts in mutated["rooms"].items():
        here = [row for row in unnoticed if room_of(row["fault"]) == room]
        harmless = sum(row["changes nothing"] is not None for row in here)
        cells = [counts["faults"], counts["at first"], counts["noticed"]]
        cells += [harmless, len(here) - harmless]
        total = [sum(pair) for pair in zip(total, cells, strict=True)]
        lines.append(f"| {room} | {' | '.join(f'{n:,}' for n in cells)} |")
    lines.append(f"| **all** | {' | '.join(f'{n:,}' for n in total)} |")
    for heading, wanted in (("Of those that change nothing:", True), ("Not noticed:", False)):
        listed = [row for row in unnoticed if (row["changes nothing"] is not None) == wanted]
        if listed:
            lines += ["", heading, ""]
        for row in listed:
            reason = f": {row['changes nothing']}" if wanted else ""
            lines.append(f"- `{row['fault']}`{reason}")
    return lines


def room_of(fault):
    """Which row of the table counts a fault, whose name begins with its file."""
    parts = fault.partition(":")[0].split("/")
    return parts[1] if len(parts) > 2 else "textbook"


def rows(text, suite):
    """The rows of a suite's table."""
    section = text.partition(f"\n## {SUITES[suite][0]}\n")[2].partition("\n## ")[0]
    table = section.partition("|---|---|---|\n")[2].splitlines()
    return [tuple(line[2:-2].split(" | ")) for line in table if line]


def read_counts():
    """What the last `make fuzz` counted, by the way in which it made its cases."""
    ways = ("drawn", "guided")
    return {way: json.loads((FUZZED / f"{way}.json").read_text("utf-8")) for way in ways}


def read_mutants():
    """What the last `make mutants` counted; None as long as none has ended."""
    return json.loads(MUTATED.read_text("utf-8")) if MUTATED.exists() else None
