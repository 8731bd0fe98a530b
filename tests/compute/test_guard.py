"""Wrong calls of the room's door end in an exception or in the textbook's result, never worse."""

import subprocess
import sys

import pytest


def make_calls(first, n):
    """A child process that makes so many calls, since one that goes wrong may end it."""
    command = [sys.executable, "-m", "tests.compute.wrong_calls", str(first), str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("calls", "processes"), [(1_000, 1), pytest.param(20_000, 2, marks=pytest.mark.long)]
)
def test_wrong_calls_raise_or_give_the_textbooks_result(calls, processes):
    each = calls // processes
    running = [make_calls(first, each) for first in range(0, calls, each)]
    for process in running:
        printed, errors = process.communicate(timeout=1200)
        assert process.returncode == 0, f"after call {printed[-20:]}: {errors[-3000:]}"
