"""The pages' words and numbers against what they speak of."""

import json
import re
import subprocess

import pytest

from minituner.reporting import fill
from tests.support.tiny_project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SPANISH = (ROOT / "README.es.md").read_text(encoding="utf-8")


def staged(path):
    """A file as git holds it: results made anew here, with other settings, prove nothing."""
    command = ["git", "show", f":{path}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()


@pytest.fixture(scope="module")
def held():
    """The values that git holds."""
    return json.loads(staged("results/values.json"))


@pytest.mark.parametrize("page", fill.find(ROOT), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_quotes_the_values_that_git_holds(page, held):
    text = page.read_text(encoding="utf-8")
    assert fill.filled(text, held["values"], page.relative_to(ROOT))[1] == []


def test_the_pictures_of_the_pages_are_those_of_the_results(held):
    assert list(fill.stale_pictures(held["figures"], ROOT)) == []


def test_readme_shows_the_verdict_that_git_holds_and_every_criterion_is_met(held):
    verdict = staged("results/definition_of_done.md")
    criteria = verdict.partition("criteria met")[0]
    table = [line for line in criteria.splitlines() if line.startswith("|")]
    assert "\n".join(table) == held["values"]["verdict"] and "\n".join(table) in README
    assert "NO" not in held["values"]["verdict"] and "5 of 5 criteria met" in verdict


@pytest.mark.parametrize("text", [README, SPANISH], ids=["README.md", "README.es.md"])
def test_every_file_that_readme_names_is_there(text):
    for name in re.findall(r"\]\(([\w./]+)\)|`([\w./]+\.(?:py|csv|yaml|yml|md|lock))`", text):
        path = next(filter(None, name))
        assert any(ROOT.rglob(path)) if "/" not in path else (ROOT / path).exists(), path


def outline(text):
    """What both READMEs must share: levels of headings, commands, links, and table rows."""
    fenced = re.findall(r"```\w+\n(.*?)```", text, re.S)
    prose = re.sub(r"```\w+\n.*?```", "", text, flags=re.S)
    commands = [line.partition("#")[0].strip() for block in fenced for line in block.splitlines()]
    return {
        "headings": re.findall(r"(?m)^#+", prose),
        "commands": commands,
        "links": {
            link
            for link in re.findall(r"\]\(([^)]+)\)", prose)
            if link not in ("README.md", "README.es.md") and not link.startswith("docs/labs/es/")
        },
        "rows": re.findall(r"(?m)^\| (`.*?`) \|", prose),
        "criteria": len(re.findall(r"(?m)^\d\. \*\*", prose)),
    }


def test_the_spanish_readme_keeps_step_with_the_english_one():
    english, spanish = outline(README), outline(SPANISH)
    for part in english:
        assert spanish[part] == english[part], part
    assert "](README.es.md)" in README and "](README.md)" in SPANISH


def test_both_readmes_give_the_same_verdict():
    def verdict(text):
        rows = re.findall(r"(?m)^\| \d .*\|$", re.sub(r"<!--.*?-->", "", text))
        numbers = [re.findall(r"[+-]?[\d,]*\d(?:\.\d+)?", row) for row in rows]
        met = [row.split("|")[-2].strip().replace("sí", "yes") for row in rows]
        return list(zip(numbers, met, strict=True))

    assert len(verdict(README)) == 5
    assert verdict(SPANISH) == verdict(README)
