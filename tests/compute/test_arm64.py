"""The same bytes on emulated arm64 with another PyTorch: twenty steps, and a whole tiny project.

One on a CPU with NEON alone, the other on one with SVE, which shares its compiled loops.
"""

import pytest

from benchmarks.reproducibility.__main__ import build_emulated, but_the_page, compare, make_template
from tests.compute.test_everywhere import hashes, start
from tests.support import arm64

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def sandbox():
    if arm64.missing():
        pytest.skip(arm64.missing())


def test_twenty_steps_at_the_experiments_shape_have_the_same_bytes():
    assert hashes(start(*arm64.command("NEON"), **arm64.environment())) == hashes(start())


def test_the_tiny_project_has_the_same_bytes(finished, tmp_path):
    make_template(tmp_path / "template")
    emulator = arm64.command("SVE"), arm64.environment()
    made = build_emulated(tmp_path / "template", tmp_path, *emulator)
    here, there = but_the_page(finished.root), but_the_page(made)
    assert here == there, compare(here, there)
