"""The page of faults and outcomes is what the suites saw and what was counted."""

from tests.support import reliability


def test_the_page_says_what_the_suites_saw_and_what_was_counted():
    """Each test of a suite looks for its own rows; here the rest."""
    fuzzed = reliability.read_counts()
    assert not any(counts["failures"] for counts in fuzzed.values())
    # Steered means that what one case reached led to others: libFuzzer counts them.
    steered = fuzzed["guided"]["steered"]
    assert steered["kept"] > 1 and steered["branches_at_last"] > steered["branches_at_first"]
    mutated = reliability.read_mutants()
    text = reliability.PAGE.read_text(encoding="utf-8")
    tables = {suite: reliability.rows(text, suite) for suite in reliability.SUITES}
    assert all(tables.values())
    assert text == reliability.markdown(tables, fuzzed, mutated), "run make reliability cluster"
