"""The pages against the code: examples run, references resolve, labs print what they teach."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minituner.reporting.fill import find

ROOT = Path(__file__).resolve().parents[2]
PAGES = find(ROOT)
THEORY = sorted((ROOT / "docs" / "theory").glob("*.md"))
LABS = sorted((ROOT / "docs" / "labs").glob("*.py"))


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


@pytest.fixture(scope="module")
def printed():
    """Lab → what it prints, run as a reader runs it; each once."""
    said = {}

    def run(name):
        if name not in said:
            (lab,) = (path for path in LABS if path.name.startswith(name))
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            command = [sys.executable, named(lab)]
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
            )
            warned = [line for line in done.stderr.splitlines() if "compiling for" not in line]
            assert (done.returncode, warned) == (0, []), done.stderr
            said[name] = done.stdout
        return said[name]

    return run


def test_lab_1_shows_that_its_hand_made_lora_is_the_packages(printed):
    said = printed("01")
    assert "equal bit for bit: True" in said
    assert re.search(r"A: largest 0\.0000, equal: True", said)
    assert re.search(r"B: largest [1-9][\d.]*, equal: True", said)
    assert "between 0.001000 and 0.001000" in said
    assert "largest: 2\n" in said and "less than 1e-5: True" in said
    assert "2 × (64 + 64) = 256; counted: 256" in said


def test_lab_2_counts_the_same_three_ways_and_what_the_papers_print(printed):
    said = printed("02")
    assert "204,992 = 204,992 = 204,992" in said
    assert "r=1 on q, v: 1,024 = 1,024, 0.50%" in said
    assert "r=8 on all Linears: 36,864 = 36,864, 17.98%" in said
    assert "19,988,480, 0.30%" in said
    assert said.count(": agrees") == 4
    assert re.findall(r"gpt2-\w+, r=4: ([\d,]+);.*does not match", said) == ["393,216", "737,280"]
    assert "783 GB, 12.00 bytes" in said and "4.500 bits a weight, 4.127" in said


def test_lab_3_repairs_the_irregular_verbs_and_shows_what_each_way_forgets(printed):
    rows = re.findall(
        r"(?m)^   (base|LoRA.*?|full.*?) +(\d+)% +([+-][\d.]+) +([\d.]+)", printed("03")
    )
    accuracy = {name: int(percent) for name, percent, _, _ in rows}
    perplexity = {name: float(value) for name, _, _, value in rows}
    assert accuracy["base"] < 25 < 70 < accuracy["LoRA r=1"] < accuracy["full fine-tuning"]
    assert accuracy["LoRA r=1, loss on the sentence"] < accuracy["LoRA r=1"]
    assert perplexity["LoRA r=1"] < 1.2 * perplexity["base"]
    assert perplexity["full fine-tuning"] > 1.5 * perplexity["base"]
    after = re.findall(r"(?m)^   (?:go|eat|see): (\S+) before, (\S+) with", printed("03"))
    assert len(after) == 3 and all(float(old) < 0 < float(new) for old, new in after)


def test_lab_4_quantizes_a_block_by_hand_as_the_package_does(printed):
    said = printed("04")
    assert said.count("the same codes: True") == said.count("the same floats: True") == 1
    assert "absmax: True" in said and "4.5 bits each" in said
    nf4, uniform = map(float, re.search(r"NF4 ([\d.]+),\n.*?values ([\d.]+)", said).groups())
    assert 0 < nf4 < uniform
    alone, together = map(float, re.findall(r" by ([\d.]+)(?: on average,)?\n", said))
    assert 0 < together < 1.25 * alone
    assert "merge: refused" in said and "in floats, equal: True" in said
    assert float(re.search(r"error is ([\d.]+) × the update", said)[1]) >= 1
