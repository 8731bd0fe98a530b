"""No measured number is typed by hand: where a page quotes results, every figure is a quotation."""

import re

import pytest

from minituner.reporting import fill
from tests.support.tiny_project import ROOT

# A number and what it is of; a size like 64 × 64 or a rank is no measurement.
UNITS = (
    r"%|points?|nats?|×(?! ?\d)|[kMG]i?B|bytes|ms|s|seconds|minutes|times|puntos?|veces|segundos"
)
FIGURE = re.compile(rf"(?<![\w.=])[+−-]?\d[\d,]*(?:\.\d+)?[ \u00a0]?(?:{UNITS})(?![\w%])")
QUOTED = re.compile(r"<!-- (?:value|point): .*?<!-- end -->", re.S)
HISTORY = re.compile(r"<!-- history -->.*?<!-- end history -->", re.S)
CODE = re.compile(r"```.*?```", re.S)
LEVEL = "95 %"  # of the intervals: a setting
MADE = re.compile(r"(?:Made|Written) by `")  # a page that a program writes as a whole

PAGES = [page.relative_to(ROOT).as_posix() for page in fill.find(ROOT)]


def typed(text):
    """Figures outside quotations, in the sections that have any; history and code left out."""
    for pattern in (CODE, HISTORY):
        text = pattern.sub("", text)
    sections = re.split(r"^#+ ", text, flags=re.M)
    return [
        figure
        for section in sections
        if QUOTED.search(section)
        for figure in FIGURE.findall(QUOTED.sub("", section))
        if figure.strip() != LEVEL
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_section_that_quotes_results_has_no_figure_typed_by_hand(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert MADE.search(text) or typed(text) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_measurements_is_made_by_a_program_or_marked_as_history(page):
    """A page may name a bar or a figure of a paper; more than a few are measurements."""
    text = (ROOT / page).read_text(encoding="utf-8")
    bare = CODE.sub("", HISTORY.sub("", QUOTED.sub("", text)))
    assert MADE.search(text) or len(FIGURE.findall(bare)) <= 8


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# a\n<!-- value: x -->97.0 %<!-- end --> and 3.1 % more", ["3.1 %"]),
        ("# a\n<!-- value: x -->97.0 %<!-- end -->\n# b\n3.1 % more", []),
        ("# a\n<!-- value: x -->1<!-- end --> <!-- history -->it was 4 ms<!-- end history -->", []),
        ("# a\n<!-- value: x -->1<!-- end --> 95 % intervals of 64 × 64", []),
        ("# a\n<!-- point: x -->1<!-- end --> −2 points, 5.6 × less", ["−2 points", "5.6 ×"]),
    ],
)
def test_a_typed_figure_is_found_beside_quotations(text, found):
    assert [figure.strip() for figure in typed(text)] == found
