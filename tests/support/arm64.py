"""An emulated arm64 machine with another PyTorch in it, as `make arm64` puts it into `.arm64`."""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".arm64"
# One with NEON alone, one whose vectors are SVE's, of 256 bits, for which PyTorch has kernels.
CPUS = {"NEON": "cortex-a72", "SVE": "max,sve-default-vector-length=32"}


def command(cpu: str) -> list[str]:
    """What to put before a Python program's arguments; it does not import from where it is run."""
    root = FOLDER / "root"
    return ["qemu-aarch64", "-cpu", CPUS[cpu], "-L", str(root), f"{root}/usr/bin/python3.11", "-P"]


def environment() -> dict[str, str]:
    """The packages for arm64, and compiled loops in a place of their own.

    Making these takes minutes under emulation, so both CPUs share them: they are generic arm64's.
    """
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(FOLDER),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER / 'site'}",
        "NUMBA_CACHE_DIR": str(FOLDER / "numba"),
    }


def missing() -> str | None:
    """What is missing, and how to get it."""
    if not shutil.which("qemu-aarch64"):
        return "qemu-aarch64 is missing: apt-get install qemu-user"
    if not (FOLDER / ".installed").exists():
        return "no packages for arm64 in .arm64: make arm64"
    return None
