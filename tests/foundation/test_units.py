"""Bytes as people read them."""

import pytest

from minituner.foundation.units import human


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (833_536, "834 KB"), (8e9, "8 GB")]
)
def test_bytes_are_readable(n, text):
    assert human(n) == text
