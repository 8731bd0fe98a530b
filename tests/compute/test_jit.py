"""Machine code on disk belongs to the text of all loops, and making it is said."""

import os
import shutil
import subprocess
import sys

from minituner.compute.kernels import jit

CODE = """
import minituner
import numpy as np
from minituner.compute.kernels import norm
print(norm.total(np.ones(16, np.float32), np.zeros(8, np.float32)))
"""


def total(package, **environment):
    """What a copy of the package computes, and what it says."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=package.parent,
        env={"PATH": os.environ["PATH"], "HOME": str(package.parent), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout), done.stderr.count("compiling for this machine")


def test_a_changed_loop_is_compiled_anew_where_it_is_called_from_too(tmp_path):
    package = tmp_path / "minituner"
    shutil.copytree(jit.HERE.parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    assert total(package) == (16.0, 1)
    assert total(package) == (16.0, 0)
    # numba by itself looks only at the file that a loop is in.
    other = package / "compute" / "kernels" / "gelu.py"
    other.write_text(other.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert total(package) == (16.0, 1)


def test_the_code_on_disk_is_kept_for_each_cpu(tmp_path):
    package, folder = jit.HERE.parents[1], {"NUMBA_CACHE_DIR": str(tmp_path)}
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert total(package, **folder) == (16.0, 1)
    assert total(package, **folder, **other) == (16.0, 1)
    assert total(package, **folder) == total(package, **folder, **other) == (16.0, 0)


def test_the_width_of_the_tiles_is_that_of_the_cpu_compiled_for():
    code = "from minituner.compute.kernels import tiles; print(tiles.WIDE, tiles.HIGH)"
    for features, size in (("+avx2,+fma", "16 4"), ("+avx2,+fma,+avx512f", "32 8")):
        environment = os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == size


def test_the_users_folder_for_machine_code_is_used(tmp_path):
    package = jit.HERE.parents[1]
    assert total(package, NUMBA_CACHE_DIR=str(tmp_path)) == (16.0, 1)
    assert list(tmp_path.rglob("*.nbc"))
    assert total(package, NUMBA_CACHE_DIR=str(tmp_path)) == (16.0, 0)
