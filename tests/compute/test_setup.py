"""The environment is set before numpy loads, and what departs from that is said once."""

import subprocess
import sys

from minituner.foundation import environment


def test_nothing_departs_from_the_pinned_mode_here():
    assert environment.departures() == []


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_job_that_finds_torch_loaded_already_says_so_once():
    done = run("import torch; from minituner import compute; compute.pin(); compute.pin()")
    lines = done.stderr.splitlines()
    assert any("OMP_NUM_THREADS is None, not '1'" in line for line in lines)
    assert len(lines) == len(set(lines))
    assert all(line.startswith("minituner: not reproducible byte for byte here") for line in lines)


def test_a_job_in_the_unrestricted_mode_says_so():
    code = "from minituner import compute; compute.pin()"
    done = run(code, MINITUNER_NUMERICS="unrestricted")
    assert done.stderr.strip().endswith("here: MINITUNER_NUMERICS=unrestricted")
    assert run(code).stderr == ""


def test_other_settings_of_the_user_are_overruled():
    code = "from minituner import compute; compute.pin()"
    assert run(code, NUMBA_CPU_NAME="znver5", OMP_NUM_THREADS="4").stderr == ""
