"""The verdict as a table for people: definition_of_done.md."""

from typing import Any

from minituner.reporting import markdown


def as_markdown(verdict: dict[str, Any]) -> str:
    """The page, of what `verdict.judge` gives."""
    choice, criteria = verdict["adapter"], verdict["criteria"]
    cells = [
        [row["criterion"], row["bar"], row["measured"], "yes" if row["met"] else "**NO**"]
        for row in criteria
    ]
    lines = [
        "# Definition of Done",
        "",
        f"Judged on held-out test frames: `{choice['adapter']}`, chosen on validation: "
        f"{choice['reason']} ({choice['eligible']} of {choice['of']} adapters).",
        "",
        *markdown.table(["criterion", "bar", "measured on test [95 % interval]", "met"], cells),
        "",
        f"{sum(row['met'] for row in criteria)} of {len(criteria)} criteria met.",
    ]
    return "\n".join(lines) + "\n"
