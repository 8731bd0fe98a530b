"""The environment in which every machine computes the same bytes; set before numpy loads.

What decides a byte of a result is computed by loops of our own (compute/), so little is left to
set: threads, and numpy's kernels for the newest CPUs. For what CPU the loops are compiled moves no
byte (kernels/jit.py); arm64's are compiled for NEON alone, since with SVE they were tried less.
"""

import os
import platform
import sys
from pathlib import Path

PINNED = {
    "OMP_NUM_THREADS": "1",  # the parallelism is between jobs
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
if platform.machine() in ("x86_64", "AMD64"):
    # numpy's logarithm, which axes are drawn by, differs where there is AVX-512.
    PINNED["NPY_DISABLE_CPU_FEATURES"] = "X86_V4 AVX512_ICL AVX512_SPR"
elif platform.machine() == "aarch64":
    PINNED |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+neon"}
MODE = "MINITUNER_NUMERICS"  # `unrestricted` leaves everything to the libraries
KERNELS = ("torch", "numpy", "numba")
NEEDED = {"avx2", "bmi2", "f16c", "fma"}  # of x86-64-v3, what the compiled loops use
ARCHITECTURES = {"x86_64", "aarch64"}


def _cpu(field: str) -> str:
    """A field of /proc/cpuinfo, or nothing where there is no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def cpu_name() -> str:
    """The CPU's name as it gives it itself."""
    return _cpu("model name") or platform.processor() or platform.machine()


def outside_promise() -> str | None:
    """Why this machine is outside the promise of equal bytes, or None if it is inside."""
    if platform.system() != "Linux" or platform.machine() not in ARCHITECTURES:
        return f"not tried on {platform.system()} on {platform.machine()}"
    if platform.machine() != "x86_64":
        return None
    lacking = sorted(NEEDED - set(_cpu("flags").split()))
    return f"{cpu_name()} has no {', '.join(lacking)}" if lacking else None


def unrestricted() -> bool:
    """Whether the user asked for speed without the promise."""
    return os.environ.get(MODE) == "unrestricted"


def pin_environment() -> None:
    """Set what is not set, unless the user asked otherwise or it is too late to matter."""
    if not unrestricted() and not any(name in sys.modules for name in KERNELS):
        os.environ.update(PINNED)


def departures() -> list[str]:
    """What of the promise does not hold in this environment, each as a phrase."""
    if unrestricted():
        return [f"{MODE}=unrestricted"]
    outside = outside_promise()
    changed = [
        f"{name} is {os.environ.get(name)!r}, not {value!r}"
        for name, value in PINNED.items()
        if os.environ.get(name) != value
    ]
    return [outside, *changed] if outside else changed
