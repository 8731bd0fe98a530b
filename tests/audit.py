"""Known vulnerabilities of the pinned packages, by pip-audit where it and its index can be reached.

Status 1 if there are any; says so and ends well where nobody can be asked.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT_OF_REACH = ("ConnectionError", "Failed to resolve", "Max retries", "ProxyError", "timed out")


def main() -> int:
    """Ask, if possible."""
    program = shutil.which("pip-audit")
    if not program:
        print("audit: skipped: pip-audit is not installed (pip install '.[audit]')")
        return 0
    options = ["--requirement", ROOT / "requirements.lock", "--no-deps", "--disable-pip"]
    done = subprocess.run([program, *map(str, options)], capture_output=True, text=True)
    if done.returncode and any(sign in done.stderr for sign in OUT_OF_REACH):
        print("audit: skipped: the index of vulnerabilities cannot be reached")
        return 0
    print(done.stdout + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
