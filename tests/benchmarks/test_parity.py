"""Equal to PEFT and bitsandbytes within rounding, and a small fault on our side would be seen."""

import pytest

pytest.importorskip("peft", reason="the peers are not installed: make peers")
pytest.importorskip("bitsandbytes", reason="the peers are not installed: make peers")

from benchmarks.parity import COMPARISONS, against_bitsandbytes, against_peft  # noqa: E402, F401

COMPARISONS_BY_NAME = {f"{c.peer}: {c.what}": c for c in COMPARISONS}


@pytest.mark.parametrize("name", COMPARISONS_BY_NAME)
def test_no_difference_beyond_rounding(name):
    comparison = COMPARISONS_BY_NAME[name]
    assert comparison.run(False) <= comparison.bound


@pytest.mark.parametrize("name", COMPARISONS_BY_NAME)
def test_a_small_fault_is_seen(name):
    comparison = COMPARISONS_BY_NAME[name]
    assert comparison.run(True) > comparison.bound
