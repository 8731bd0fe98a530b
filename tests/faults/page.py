"""docs/reliability.md, from what the suite saw and what fuzzing counted."""

import json


def markdown(rows, fuzzed):
    """The page.

    Args:
        rows: fault, where, outcome of each test that held.
        fuzzed: what `python -m tests.fuzz --out` wrote, "drawn" and "guided".
    """
    targets = {way: found["targets"] for way, found in fuzzed.items()}
    cases = {way: sum(t["cases"] for t in each.values()) for way, each in targets.items()}
    steered = fuzzed["guided"]["steered"]
    lines = [
        "# Reliability",
        "",
        "What was done to the project and what came of it. `make reliability` does it all again",
        "and writes this page.",
        "",
        "## Faults injected",
        "",
        "Each on a tiny project that runs the whole workflow, with real processes and disks.",
        '"The same bytes" are those of a run without the fault, file by file.',
        "",
        "| fault | where | outcome |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in sorted(set(rows))),
        "",
        "## Bad inputs tried",
        "",
        "Valid files spoilt at random: bits, bytes and pieces changed, cut, repeated or inserted;",
        "values, types and names replaced with hostile ones. Each case must be accepted or refused",
        "with one line, without a traceback, a hang, a write outside its own folder, a program",
        "started, a pickle, or memory for what a file merely claims.",
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


def rows(text):
    """The rows of the first table of a page."""
    table = text.partition("| fault ")[2].partition("\n## ")[0].splitlines()[2:]
    return [tuple(line[2:-2].split(" | ")) for line in table if line]


def read_counts(folder):
    """What the last `make fuzz` counted, by the way in which it made its cases."""
    ways = ("drawn", "guided")
    return {way: json.loads((folder / f"{way}.json").read_text("utf-8")) for way in ways}
