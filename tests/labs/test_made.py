"""What is made of a lab's source: never stale, and as percent format and notebooks are."""

import json
import re
import shutil

import nbformat
import pytest

from minituner.foundation.errors import UserError
from minituner.labs import checking, percent
from minituner.labs.__main__ import made_of, make, mistakes_list
from minituner.reporting.fill import BEGIN, END
from tests.support.tiny_project import ROOT

LABS = ROOT / "docs" / "labs"
SPANISH = sorted((LABS / "es").glob("*.md"))
SOURCE = '''# %% [markdown]
# # Title
#
# Words.

# %%
import torch


# %% [markdown]
# ## Step 1: One
# %%
def one(x):
    """Doubled."""
    # gap: step 1: say "two"
    return 2 * x
    # end gap
'''


@pytest.mark.parametrize("name", checking.NAMES)
def test_what_is_made_of_a_source_is_what_lies_in_the_folder(name):
    for file, text in made_of(name, LABS).items():
        assert (LABS / file).read_text(encoding="utf-8") == text, f"{file}: run `make labs`"


def test_a_gap_is_an_error_with_its_hint_and_nothing_of_the_solution():
    text = percent.with_gaps(SOURCE, "lab.py")
    assert '    """Doubled."""\n    raise NotImplementedError("step 1: say \\"two\\"")\n' in text
    assert "2 * x" not in text and "gap:" not in text
    compile(text, "lab.py", "exec")


@pytest.mark.parametrize("name", checking.NAMES)
def test_no_line_of_a_gap_is_shown_to_the_learner(name):
    source = (LABS / "solutions" / f"{name}.py").read_text(encoding="utf-8")
    solved = re.findall(r"(?ms)^ *# gap: .*?\n(.*?)^ *# end gap$", source)
    lines = {line.strip() for part in solved for line in part.splitlines() if len(line) > 40}
    assert len(solved) >= 5
    for ending in ("py", "md", "ipynb"):
        shown = (LABS / f"{name}.{ending}").read_text(encoding="utf-8")
        assert not [line for line in lines if line in shown]


@pytest.mark.parametrize(
    "text", ["# gap: one\n# gap: two\n# end gap\n", "# end gap\n", "# gap: one\n"]
)
def test_gaps_that_do_not_pair_are_one_line(text):
    with pytest.raises(UserError, match=r"lab\.py: .*# end gap"):
        percent.with_gaps(text, "lab.py")


def test_cells_are_text_without_its_marks_and_code_as_it_is():
    kinds = [(cell.kind, cell.text) for cell in percent.cells(SOURCE)]
    assert kinds[:3] == [
        ("markdown", "# Title\n\nWords."),
        ("code", "import torch"),
        ("markdown", "## Step 1: One"),
    ]
    assert kinds[3][1].startswith("def one(x):") and len(kinds) == 4


@pytest.mark.parametrize("name", checking.NAMES)
def test_a_notebook_is_valid_and_holds_the_cells_of_the_file_with_gaps(name):
    text = (LABS / f"{name}.ipynb").read_text(encoding="utf-8")
    book = json.loads(text)
    nbformat.validate(nbformat.from_dict(book))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    held = [("".join(cell["source"]), cell["cell_type"]) for cell in book["cells"]]
    gaps = percent.cells((LABS / f"{name}.py").read_text(encoding="utf-8"))
    assert held == [(cell.text, cell.kind) for cell in gaps]
    assert not any(cell.get("outputs") for cell in book["cells"])


@pytest.mark.parametrize("name", checking.NAMES)
def test_a_page_has_the_checks_steps_in_order_and_each_reads_in_a_heading_of_the_theory(name):
    page = (LABS / f"{name}.md").read_text(encoding="utf-8")
    steps = checking.steps_of(name[:2])
    titles = [f"Step {number}: {step.title}" for number, step in enumerate(steps, 1)]
    assert re.findall(r"(?m)^## (Step .*)$", page) == titles
    for step in filter(lambda step: step.theory, steps):
        chapter, _, heading = step.theory.partition(": ")
        theory = (ROOT / checking.THEORY / chapter).read_text(encoding="utf-8")
        assert f"\n## {heading}\n" in theory, step.theory


def test_making_them_anew_writes_every_file(tmp_path):
    labs = tmp_path / "labs"
    shutil.copytree(LABS / "solutions", labs / "solutions")
    (tmp_path / "teaching.md").write_text(f"{BEGIN}\nold\n{END}\n")
    make(labs)
    assert (tmp_path / "teaching.md").read_text() == f"{BEGIN}\n{mistakes_list()}{END}\n"
    made = {path.name for path in labs.iterdir() if path.is_file()}
    assert made == {
        f"{name}.{ending}" for name in checking.NAMES for ending in ("py", "md", "ipynb")
    }


def test_the_page_for_teachers_lists_every_mistake_that_a_check_knows():
    page = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    assert f"{BEGIN}\n{mistakes_list()}{END}" in page, "run `make labs`"


def pieces(text, folder):
    """What a translation keeps of a page: steps, code, formulas, and where links lead."""
    prose = percent.FENCED.sub("", text)
    formulas = re.findall(r"(?m)^    (.*)$", prose)
    return {
        "steps": set(re.findall(r"(?m)^## \w+ (\d)", prose)),
        "code": set(re.findall(r"`([^`]+)`", prose)),
        "formulas": {
            p for line in formulas for p in re.split(r" {2,}", line) if re.search('[="]', p)
        },
        "links": {
            (folder / path).resolve() if path.endswith(".md") else path
            for path in re.findall(r"\]\(([^)#]+)[^)]*\)", prose)
        },
    }


@pytest.mark.parametrize("page", SPANISH, ids=lambda page: page.name)
def test_a_spanish_page_translates_the_text_as_it_is_now(page):
    parts = percent.cells((LABS / page.with_suffix(".py").name).read_text(encoding="utf-8"))
    first = page.read_text(encoding="utf-8").partition("\n")[0]
    now = f"<!-- translates: {percent.digest(parts)} -->"
    assert first == now, f"the English text has changed: translate the change, then write {now}"


@pytest.mark.parametrize("page", SPANISH, ids=lambda page: page.name)
def test_a_spanish_page_has_the_steps_code_formulas_and_links_of_the_english_one(page):
    english = pieces((LABS / page.name).read_text(encoding="utf-8"), LABS)
    spanish = pieces(page.read_text(encoding="utf-8"), page.parent)
    assert spanish["steps"] == english["steps"] and spanish["formulas"] == english["formulas"]
    for part in ("code", "links"):
        assert english[part] <= spanish[part], english[part] - spanish[part]


def test_a_translation_gets_the_code_of_now_and_keeps_its_text():
    parts = percent.cells(SOURCE)
    page = "# Título\n\n```python\nimport os\n```\n\nUno.\n\n```python\n```\n\n```text\nold\n```\n"
    made = percent.translated(page, parts, "new\n", "lab.md")
    assert made.startswith(
        "# Título\n\n```python\nimport torch\n```\n\nUno.\n\n```python\ndef one(x):"
    )
    assert made.endswith("```text\nnew\n```\n")
    with pytest.raises(UserError, match=r"lab\.md: 1 pieces of code, and the lab has 3"):
        percent.translated("```text\n```\n", parts, "", "lab.md")
