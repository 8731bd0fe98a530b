"""The page of faults and outcomes is what this very suite saw."""

import pytest

from . import page
from .conftest import FUZZED, PAGE, ROWS


def test_the_page_says_what_the_suite_saw(request):
    fuzzed = page.read_counts(FUZZED)
    if request.config.getoption("--page"):
        PAGE.write_text(page.markdown(ROWS, fuzzed), encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.count("|") == 4]
    written = [tuple(row[2:-2].split(" | ")) for row in rows if not row.startswith("| fault ")]
    assert set(ROWS) <= set(written), "run make reliability"
    assert text == page.markdown(written, fuzzed), "run make reliability"
    if set(ROWS) != set(written):
        pytest.skip(f"{len(set(ROWS))} of {len(written)} faults were injected in this session")
