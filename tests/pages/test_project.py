"""What is around the code: version, license, citation, changelog and CI say one thing."""

import re
import subprocess
import tomllib

import pytest
import yaml

from tests.support.tiny_project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.fixture(scope="module")
def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


def test_the_version_is_the_same_wherever_it_stands(citation):
    newest = re.search(r"(?m)^## \[(.+?)\]", CHANGELOG)[1]
    assert PROJECT["version"] == citation["version"] == newest


def test_the_changelog_has_the_form_that_it_names():
    assert CHANGELOG.startswith("# Changelog\n") and "keepachangelog.com" in CHANGELOG
    versions = re.findall(r"(?m)^## (.*)$", CHANGELOG)
    form = r"\[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d|not yet released)"
    assert all(re.fullmatch(form, version) for version in versions)
    assert set(re.findall(r"(?m)^### (.*)$", CHANGELOG)) <= SECTIONS


def test_the_citation_has_the_fields_that_its_format_requires(citation):
    assert citation["cff-version"] == "1.2.0"
    assert all(isinstance(citation[field], str) for field in ("message", "title", "version"))
    assert citation["authors"] and all("name" in author for author in citation["authors"])


def test_license_and_authors_are_the_same_wherever_they_stand(citation):
    first, _, holder, *_ = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()
    assert first == "MIT License" and PROJECT["license"] == citation["license"] == "MIT"
    (author,) = PROJECT["authors"]
    assert citation["authors"] == [author] and holder.endswith(author["name"])
    assert PROJECT["license-files"] == ["LICENSE"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["abstract"].removesuffix(".") == PROJECT["description"]


def test_the_hosted_ci_runs_what_every_machine_runs(workflow):
    (job,) = workflow["jobs"].values()
    assert job["runs-on"] == "ubuntu-24.04" and job["timeout-minutes"] == 60
    (command,) = [step["run"] for step in job["steps"] if ".ci/run" in step.get("run", "")]
    assert (ROOT / command.split()[0]).stat().st_mode & 0o100
    # What it rebuilt there is what is kept.
    kept = job["steps"][-1]["with"]["path"].replace("${{ runner.temp }}", "$RUNNER_TEMP")
    assert kept == f"{command.split()[1].strip(chr(34))}/results"


def test_the_hosted_ci_pins_its_actions_and_the_projects_python(workflow):
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", name) for name in used)
    conda = (ROOT / "environment.yml").read_text(encoding="utf-8")
    versions = [s["with"]["python-version"] for s in steps if "python-version" in s.get("with", {})]
    assert versions == re.findall(r"(?m)^  - python=(.*)$", conda)


def test_git_takes_no_binary_file_for_text():
    command = ["git", "ls-files", "--eol"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for line in listed.splitlines():
        in_git, _, attribute, *_ = line.split()
        assert in_git in ("i/lf", "i/none") or attribute == "attr/-text", line


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_the_pages_at_the_top_name_is_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^):]+)\)", text):
        assert (ROOT / link).exists(), link
    targets = "".join(
        (ROOT / makefile).read_text(encoding="utf-8")
        for makefile in ("Makefile", "tests/Makefile", "requirements/install.mk")
    )
    for target in re.findall(r"(?:^|`)make ([a-z]+)", text, re.M):
        assert re.search(rf"(?m)^{target}:", targets), target


def test_make_in_the_tests_folder_is_make_in_the_one_above():
    def said(*arguments):
        command = ["make", "--dry-run", "--no-print-directory", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout, done.stderr

    assert "tests.mutants" in said("mutants")[0]
    assert said("-C", "tests", "mutants")[0].endswith(said("mutants")[0])
    assert said("STAMP=", "all")[1] == "", "no rule is written twice"
