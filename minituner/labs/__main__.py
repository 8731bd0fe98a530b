"""`python -m minituner.labs`: make what the learner gets of each lab's source, as `make labs` does.

The source of a lab is its worked solution, `docs/labs/solutions/NAME.py` (see percent.py). Made of
it are, in `docs/labs`, the page `NAME.md`, the file with gaps `NAME.py` and the notebook
`NAME.ipynb`. With `--run` each solution is run first, and what it prints is kept beside it in
`NAME.txt`, which the page shows. The text of a Spanish page, `es/NAME.md`, is translated by hand;
its code and what was printed are written anew. `docs/teaching.md` gets the list of mistakes.
"""

import contextlib
import io
import runpy
import sys
import tempfile
from pathlib import Path

from minituner.foundation import checkout, storage
from minituner.foundation.text import read_text
from minituner.labs import percent
from minituner.labs.checking import FOLDER, NAMES
from minituner.labs.mistakes import MISTAKES
from minituner.reporting import fill, markdown


def made_of(name: str, folder: Path) -> dict[str, str]:
    """What is made of a lab's source: file name → text.

    Args:
        name: of the lab, `00-lora-by-hand`.
        folder: of the labs; the source and what it printed lie below it in `solutions`.

    Raises:
        UserError: if the source is missing, its gaps do not pair, or a translation has other code.
    """
    solution, printed = (
        read_text(folder / "solutions" / f"{name}.{ending}", "run `make labs`")
        for ending in ("py", "txt")
    )
    gaps = percent.with_gaps(solution, f"{name}.py")
    parts = percent.cells(gaps)
    made = {
        f"{name}.py": gaps,
        f"{name}.md": percent.page(parts, printed),
        f"{name}.ipynb": percent.notebook(parts, name),
    }
    spanish = f"es/{name}.md"
    if (folder / spanish).is_file():
        text = read_text(folder / spanish, "run `make labs`")
        made[spanish] = percent.translated(text, parts, printed, spanish)
    return made


def mistakes_list() -> str:
    """A table a lab: the mistakes' names, and what each means."""
    lines = []
    for name in NAMES:
        rows = [[mistake, says] for mistake, says in MISTAKES[name[:2]].items()]
        table = markdown.table(["mistake", "what is behind it"], rows, "ll")
        lines += [f"### [Lab {name[:2]}](labs/{name}.md)", "", *table, ""]
    return "\n".join(lines)


def printed_by(path: Path) -> str:
    """What a lab's file prints, run as a learner runs it, in a folder of its own."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        with contextlib.redirect_stdout(said):
            runpy.run_path(str(path), run_name="__main__")
    return said.getvalue()


def make(folder: Path, run: bool = False) -> None:
    """Write what is made of every lab's source; with `run`, what each solution prints first."""
    for name in NAMES:
        if run:
            source = folder / "solutions" / f"{name}.py"
            storage.write_text(source.with_suffix(".txt"), printed_by(source))
        for file, text in made_of(name, folder).items():
            storage.write_text(folder / file, text)
    fill.fill_block(folder.parent / "teaching.md", mistakes_list)


if __name__ == "__main__":
    checkout.need_or_exit(f"{FOLDER}/")
    make(checkout.ROOT / FOLDER, run="--run" in sys.argv[1:])
