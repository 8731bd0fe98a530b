"""The pages against the code: examples run, references resolve, the order of reading is whole."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

from minituner.reporting.fill import find

ROOT = Path(__file__).resolve().parents[2]
PAGES = find(ROOT)
THEORY = sorted((ROOT / "docs" / "theory").glob("*.md"))
LABS = sorted((ROOT / "docs" / "labs").glob("*.md"))


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", THEORY, ids=named)
def test_the_examples_of_a_page_give_what_it_shows(page):
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", text, re.S)
    assert text.count(">>>") == sum(block.count(">>>") for block in blocks)
    test = doctest.DocTestParser().get_doctest("".join(blocks), {}, named(page), str(page), 0)
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("page", THEORY, ids=named)
def test_a_page_names_functions_that_are_where_it_says(page):
    references = re.findall(r"\[`([\w.]+)`\]\(([\w./]+)\)", page.read_text(encoding="utf-8"))
    for name, path in references:
        file = (page.parent / path).resolve()
        assert file.is_file(), path
        target = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        parts = name.split(".")
        for part in parts[1:] if parts[0] == file.stem else parts:
            target = getattr(target, part)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_link_of_a_page_leads_to_a_file(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        if path.startswith("http"):
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", target.read_text(encoding="utf-8"))
            slugs = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in slugs, link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_quote_stands_where_its_comments_would_show_or_break_a_paragraph(page):
    """A comment at the start of a line ends the paragraph; inside code it is shown as it is."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?m)^ *<!-- (value|point): .*<!-- end -->", text)
    assert "<!--" not in "".join(re.findall(r"(?s)```.*?```|`[^`\n]+`", text))


def test_the_order_of_reading_names_every_page_and_lab():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in [*THEORY, *LABS, *(ROOT / "docs").glob("*.md")]:
        if page.name != "README.md":
            assert str(page.relative_to(ROOT / "docs")) in index, page.name
