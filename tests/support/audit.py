"""Known vulnerabilities of the pinned packages, by pip-audit, where its index can be reached.

Status 1 if there are any; says so and ends well where nobody can be asked.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT_OF_REACH = ("ConnectionError", "Failed to resolve", "Max retries", "ProxyError", "timed out")


def ask(pins: list[str]) -> list[dict] | None:
    """For each pin its name and what is known of it; None if the index cannot be reached."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins))
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps"]
        command += ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.stdout:
        return json.loads(done.stdout)["dependencies"]
    if any(sign in done.stderr for sign in OUT_OF_REACH):
        return None
    raise SystemExit(done.stderr)


def main() -> int:
    """Ask for one package first: a mirror of the index may know of no vulnerabilities at all."""
    pins = [
        line
        for line in (ROOT / "requirements" / "base.lock").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    first = ask(pins[:1])
    if first is None or "vulns" not in first[0]:
        print("audit: skipped: the index of vulnerabilities cannot be reached")
        return 0
    found = ask(pins) or []
    for package in found:
        for known in package.get("vulns", ()):
            mended = ", ".join(known["fix_versions"]) or "no version"
            print(
                f"audit: {package['name']} {package['version']}: {known['id']}, mended in {mended}"
            )
    asked = sum("vulns" in package for package in found)
    print(f"audit: {asked} of {len(pins)} pinned packages looked up")
    return int(any(package.get("vulns") for package in found))


if __name__ == "__main__":
    sys.exit(main())
