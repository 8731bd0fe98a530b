"""The page of faults and outcomes is what the suite saw and fuzzing counted."""

from . import page
from .conftest import FUZZED, PAGE, ROWS


def test_the_page_says_what_the_suite_saw(request):
    """Each test looks for its own rows; here the rest. With --page it is written anew."""
    fuzzed = page.read_counts(FUZZED)
    assert not any(counts["failures"] for counts in fuzzed.values())
    # Steered means that what one case reached led to others: libFuzzer counts them.
    steered = fuzzed["guided"]["steered"]
    assert steered["kept"] > 1 and steered["branches_at_last"] > steered["branches_at_first"]
    if request.config.getoption("--page"):
        assert not request.session.testsfailed, "a page of a suite that failed"
        PAGE.write_text(page.markdown(ROWS, fuzzed), encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    assert text == page.markdown(page.rows(text), fuzzed), "run make reliability"
