"""The verdict as a table for people: definition_of_done.md."""

from typing import Any

from minituner.reporting import markdown


def as_markdown(verdict: dict[str, Any]) -> str:
    """The page, of what `verdict.judge` gives."""
    choice, criteria = verdict["adapter"], verdict["criteria"]
    lines = [
        "# Definition of Done",
        "",
        f"Judged on held-out subject-and-time pairs: `{choice['adapter']}`, chosen on validation: "
        f"{choice['reason']} ({choice['eligible']} of {choice['of']} adapters).",
        "",
        *criteria_table(verdict),
        "",
        f"{sum(row['met'] for row in criteria)} of {len(criteria)} criteria met.",
        "",
        "Measured as well, but not judged:",
        "",
        *beside_table(verdict),
    ]
    if verdict["trained"]:
        lines += ["", f"{TRAINED}:", "", *trained_table(verdict)]
    return "\n".join(lines) + "\n"


TRAINED = (
    "The QLoRA runs that were trained, each against the LoRA run of its seed. How much two LoRA "
    "seeds differ is the yardstick"
)


def criteria_table(verdict: dict[str, Any]) -> list[str]:
    """A line a criterion: bar, what was measured, and whether it is met."""
    cells = [
        [row["criterion"], row["bar"], row["measured"], "yes" if row["met"] else "**NO**"]
        for row in verdict["criteria"]
    ]
    return markdown.table(["criterion", "bar", "measured on test [95 % interval]", "met"], cells)


def beside_table(verdict: dict[str, Any]) -> list[str]:
    """A line for each figure that judges nothing: the base's and the tuned model's."""
    cells = [list(row.values()) for row in verdict["beside"]]
    return markdown.table(["on test [95 % interval]", "base", "tuned, over all seeds"], cells)


def trained_table(verdict: dict[str, Any]) -> list[str]:
    """A line for each figure in which the trained QLoRA runs are held against LoRA's."""
    header = ["on test", "QLoRA against LoRA", "two LoRA seeds"]
    return markdown.table(header, [list(row.values()) for row in verdict["trained"]])
