"""A lab's source in percent format, and the files for the learner that are made of it.

A source is a Python file of cells (jupytext's percent format): `# %% [markdown]` begins text, each
line behind a `#`, and `# %%` begins code. What the learner writes lies between two comments:

    # gap: step 2: y = W x + (α/r) B A x
    return self.base(x) + self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)
    # end gap

The file with gaps has `raise NotImplementedError("step 2: y = W x + (α/r) B A x")` there.
"""

import dataclasses
import json
import re
import zlib

from minituner.foundation.errors import UserError

GAP = re.compile(r"( *)# gap: (.+)")
END = "# end gap"
CELL = re.compile(r"# %%( \[markdown\])?")
FENCED = re.compile(r"(?ms)^```(?:python|text)\n.*?^```$")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: `kind` is "markdown" or "code"; `text` has no line end behind its last line."""

    kind: str
    text: str


def with_gaps(source: str, name: str) -> str:
    """The source with each gap open: its hint raised as an error in place of the solution.

    Args:
        source: the whole file's text.
        name: of the file, for messages.

    Raises:
        UserError: for a gap that does not end, or an end without a gap.
    """
    lines, hint = [], ""
    for number, line in enumerate(source.splitlines(), 1):
        opened = GAP.fullmatch(line)
        if bool(opened) and hint or line.strip() == END and not hint:
            raise UserError(f"{name}: line {number}: gaps do not pair; write {END!r} behind each")
        if opened:
            indent, hint = opened.groups()
            lines.append(
                f"{indent}raise NotImplementedError({json.dumps(hint, ensure_ascii=False)})"
            )
        elif line.strip() == END:
            hint = ""
        elif not hint:
            lines.append(line)
    if hint:
        raise UserError(f"{name}: {hint!r}: the gap does not end; write {END!r} behind it")
    return "\n".join(lines) + "\n"


def cells(source: str) -> list[Cell]:
    """The cells of a source, empty ones left out; what stands before the first is code."""
    parts: list[tuple[str, list[str]]] = [("code", [])]
    for line in source.splitlines():
        opened = CELL.fullmatch(line)
        if opened:
            parts.append(("markdown" if opened[1] else "code", []))
        elif parts[-1][0] == "markdown":
            parts[-1][1].append(re.sub(r"^# ?", "", line))
        else:
            parts[-1][1].append(line)
    joined = [Cell(kind, "\n".join(lines).strip("\n")) for kind, lines in parts]
    return [cell for cell in joined if cell.text]


def page(parts: list[Cell], printed: str) -> str:
    """The cells as a page in Markdown, and below them what the solution printed."""
    texts = [
        cell.text if cell.kind == "markdown" else f"```python\n{cell.text}\n```" for cell in parts
    ]
    texts += ["## What the solution printed", f"```text\n{printed.rstrip()}\n```"]
    return "\n\n".join(texts) + "\n"


def translated(text: str, parts: list[Cell], printed: str, name: str) -> str:
    """A page in another language, its code and what the solution printed as they are now.

    Args:
        text: the page as it is; what stands between its code is translated by hand, and stays.
        parts: the cells of the file with gaps.
        printed: by the solution.
        name: of the page, for messages.

    Raises:
        UserError: if the page has more or fewer pieces of code than the lab.
    """
    code = [f"```python\n{cell.text}\n```" for cell in parts if cell.kind == "code"]
    code.append(f"```text\n{printed.rstrip()}\n```")
    if len(FENCED.findall(text)) != len(code):
        raise UserError(
            f"{name}: {len(FENCED.findall(text))} pieces of code, and the lab has {len(code)}, "
            "with what is printed; put an empty one (```python, ```) where one is missing"
        )
    pieces = iter(code)
    return FENCED.sub(lambda _: next(pieces), text)


def digest(parts: list[Cell]) -> str:
    """Of the text of some cells, so that a translation can say which text it translates."""
    text = "\n\n".join(cell.text for cell in parts if cell.kind == "markdown")
    return f"{zlib.crc32(text.encode()):08x}"


def notebook(parts: list[Cell], name: str) -> str:
    """The cells as a notebook, nbformat 4.5; a cell's id is the lab's name and its number."""
    content = []
    for number, cell in enumerate(parts):
        fields = {"cell_type": cell.kind, "id": f"{name}-{number:02}", "metadata": {}}
        if cell.kind == "code":
            fields |= {"execution_count": None, "outputs": []}
        content.append(fields | {"source": cell.text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": content, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
