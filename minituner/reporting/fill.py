"""Fill the values that pages quote, and say which page and value is out of date.

A page quotes a value between two comments, which do not show when it is rendered: the first says
`value:` and a name of `values.py`, or `point:` to leave the interval out; the second says `end`.
A table stands on lines of its own between them. Pictures are copied from the results. A page may
also have one block between `results: begin` and `results: end`, which is written anew as a whole.
"""

import difflib
import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.foundation.trace import traced

OPEN = re.compile(r"<!-- (?:value|point): ")
QUOTE = re.compile(r"<!-- (value|point): ([\w.+-]+) -->((?:(?!<!--).)*)<!-- end -->", re.S)
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
PICTURES = Path("docs/theory/figures")


def find(root: Path) -> list[Path]:
    """The pages of a project: the READMEs at its top and every page below docs/."""
    return sorted(root.glob("README*.md")) + sorted((root / "docs").rglob("*.md"))


def filled(text: str, values: dict[str, str], page: Path) -> tuple[str, list[str]]:
    """A page's text with its values as they are now, and what was stale, a line each.

    Raises:
        UserError: for a value that does not exist, or comments that do not pair.
    """
    stale = []

    def line(at: int) -> str:
        return f"{page}: line {text.count(chr(10), 0, at) + 1}"

    def fill(quote: re.Match) -> str:
        kind, name, shown = quote.groups()
        if name not in values:
            close = difflib.get_close_matches(name, values, 1)
            hint = f"did you mean {close[0]}?" if close else "see minituner/reporting/values.py"
            raise UserError(f"{line(quote.start())}: {name}: no such value; {hint}")
        new = values[name] if kind == "value" else values[name].partition(" [")[0]
        new = f"\n{new}\n" if "\n" in new else new
        if shown != new:
            stale.append(f"{line(quote.start())}: {name}: {_difference(shown, new)}")
        return f"<!-- {kind}: {name} -->{new}<!-- end -->"

    whole = {quote.start() for quote in QUOTE.finditer(text)}
    for opening in OPEN.finditer(text):
        if opening.start() not in whole:
            raise UserError(f"{line(opening.start())}: a value without its end; add <!-- end -->")
    return QUOTE.sub(fill, text), stale


def _difference(shown: str, new: str) -> str:
    """What a page says and what is true; of a table the first cell that differs."""
    old, now = ([cell.strip() for cell in re.split(r"[|\n]", text)] for text in (shown, new))
    pairs = itertools.zip_longest(old, now, fillvalue="nothing")
    before, after = next(((a, b) for a, b in pairs if a != b), (shown, new))
    return f"says {before!r}, the results say {after!r}"


def stale_pictures(hashes: dict[str, str], root: Path) -> Iterator[tuple[str, Path]]:
    """Name and place of each picture that is not the one whose hash is given."""
    for name, expected in hashes.items():
        path = root / PICTURES / name
        if not path.is_file() or storage.sha256(path) != expected:
            yield name, path


def fill_pages(values: Path, root: Path, check: bool = False) -> None:
    """Bring every page below `root` up to date, or with `check` only print what is stale.

    Args:
        values: the file that `minituner values` made; the pictures lie beside it.
        root: the project's folder.
        check: change nothing.

    Raises:
        UserError: with `check`, if anything is stale; else see `filled`.
    """
    known = storage.read_json(values)
    with traced():  # pages are no results, so no record of them is kept
        stale = _bring_up_to_date(known, values, root, check)
    for line in stale:
        print(line if check else line.replace("says", "said", 1))
    if check and stale:
        raise UserError(f"{stale[0].partition(':')[0]}: out of date; run `snakemake docs`")


def _bring_up_to_date(known: dict, values: Path, root: Path, check: bool) -> list[str]:
    """What was stale, a line each; written anew unless `check`."""
    stale: list[str] = []
    for page in find(root):
        text = page.read_text(encoding="utf-8")
        new, lines = filled(text, known["values"], page.relative_to(root))
        stale += lines
        if new != text and not check:
            storage.write_text(page, new)
    for name, path in stale_pictures(known["figures"], root):
        stale.append(f"{path.relative_to(root)}: not the picture that the results hold")
        if not check:
            source = values.parent / name
            if not source.is_file() or storage.sha256(source) != known["figures"][name]:
                raise UserError(f"{source}: not the one {values} speaks of; run snakemake {values}")
            with storage.atomic(path) as temporary:
                shutil.copyfile(source, temporary)
    return stale


def fill_block(page: Path, block: Callable[[], str]) -> None:
    """Write the block of `page` anew, as `block` makes it.

    Raises:
        UserError: if the page lacks the markers.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise UserError(f"{page}: no block; write {BEGIN} and {END} where the results belong")
    before, _, tail = text.partition(BEGIN)
    behind = tail.partition(END)[2]
    storage.write_text(page, f"{before}{BEGIN}\n{block()}{END}{behind}")
