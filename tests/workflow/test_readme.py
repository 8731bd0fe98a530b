"""README's words against what they speak of."""

import re
import subprocess

from tiny_project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_in_readme_is_the_verdict_that_git_holds():
    shown = re.search(r"<!-- verdict: begin -->\n(.*?)<!-- verdict: end -->", README, re.S)[1]
    # As staged, so that results made anew here, with other settings, prove nothing about README.
    command = ["git", "show", ":results/definition_of_done.md"]
    held = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    table = [line for line in held.splitlines() if line.startswith("|")]
    assert [line for line in shown.splitlines() if line.startswith("|")] == table
    assert "NO" not in shown and "5 of 5 criteria met" in held


def test_every_file_that_readme_names_is_there():
    for name in re.findall(r"\]\(([\w./]+)\)|`([\w./]+\.(?:py|csv|yaml|yml|md|lock))`", README):
        path = next(filter(None, name))
        assert any(ROOT.rglob(path)) if "/" not in path else (ROOT / path).exists(), path
