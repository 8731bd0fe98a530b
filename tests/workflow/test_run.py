"""What a run prints and leaves, when it succeeds, when a bar is missed and when input is bad."""

import re

import pytest

from minituner.workflow import cli


def said(done):
    """The lines a command printed, without Snakemake's announcement of its profile."""
    lines = done.stdout.splitlines()
    return [line for line in lines if line and not line.startswith("Using workflow specific")]


def test_a_run_leaves_the_tables_the_figures_and_a_met_gate(project):
    for name in ("ablation.png", "pareto.svg", "curves.png", "definition_of_done.md"):
        assert (project.root / "results" / name).stat().st_size > 0
    assert "criteria met" in (project.root / "results" / "gate.txt").read_text()


def test_a_missed_bar_names_its_criterion_and_costs_no_result(project):
    project.set("definition_of_done", accuracy_gain=1)
    done = project.run("snakemake", "all", ok=False)
    assert done.returncode != 0
    assert "criterion 1 irregular accuracy" in done.stdout
    assert not (project.root / "results" / "gate.txt").exists()
    assert "**NO**" in (project.root / "results" / "definition_of_done.md").read_text()
    assert "✗ missed" in (project.root / "results" / "report.html").read_text(encoding="utf-8")
    card = (project.root / "results" / "model_card.md").read_text(encoding="utf-8")
    assert "> **The definition of done is not met**: 1 of 5 criteria" in card
    assert set(project.jobs()) == {"gate"}
    again = project.make("all", ok=False)
    assert again.returncode != 0
    assert "| 1 irregular accuracy" in again.stdout


def test_docs_writes_this_runs_figures_into_the_pages(project):
    """A page that quotes nothing is left alone, a stale one is named and then filled."""
    for page in [*project.root.glob("README*.md"), *(project.root / "docs").rglob("*.md")]:
        page.unlink()
    page = project.root / "README.md"
    page.write_text("Rank <!-- value: judged.rank -->?<!-- end -->.\n", encoding="utf-8")
    check = ["minituner", "fill", "--values", "results/values.json", "--check"]
    stale = project.run("python", "-m", *check, ok=False)
    assert stale.returncode == 2
    assert "README.md: line 1: judged.rank: says '?', the results say" in stale.stdout
    assert "README.md: line 1: judged.rank: said '?'" in project.run("snakemake", "docs").stdout
    assert project.run("python", "-m", *check).stdout == ""
    assert project.jobs() == {}


def test_a_bad_row_is_shown_as_the_job_put_it_and_nothing_half_written_stays(project):
    with open(project.root / "data" / "verbs.csv", "a", encoding="utf-8") as file:
        file.write("sing,sing\n")
    done = project.run("snakemake", "all", ok=False)
    assert done.returncode != 0
    assert [line for line in said(done) if "minituner: error: data/verbs.csv" in line]
    assert not (project.root / "data" / "corpus.parquet").exists()
    assert not list((project.root / "data").glob(".*.tmp"))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("alpha:", "alhpa:", "params.yaml: lora.alhpa: unknown key; did you mean alpha?"),
        ("seeds:\n  - 0", "seeds:\n  - 0 0\n - 1", "params.yaml: line "),
        ("verbs: data/verbs.csv", "verbs: data/v.csv", "params.yaml: corpus.verbs: no such file"),
    ],
)
def test_bad_settings_stop_snakemake_with_one_line(project, old, new, message):
    project.edit("params.yaml", old, new)
    done = project.run("snakemake", "all", ok=False)
    assert done.returncode != 0
    (line,) = said(done)
    assert line.startswith(f"minituner: error: {message}")
    done = project.run("python", "-m", "minituner", "validate", ok=False)
    assert (done.returncode, said(done)) == (2, [line])


def test_settings_given_on_the_command_line_are_checked_too(project):
    done = project.run("snakemake", "--config", "lora=3", ok=False)
    assert done.returncode != 0
    assert said(done)[-1].startswith("minituner: error: settings: lora: 3 ")


def test_a_rule_passes_the_settings_that_its_command_reads_and_no_others(project):
    files = [path.read_text(encoding="utf-8") for path in (project.root / "rules").rglob("*.smk")]
    rules = [rule for text in files for rule in re.split(r"(?m)^rule ", text)[1:]]
    passed = set()
    for rule in rules:
        name = re.search(r"python -m minituner (\w+)", rule)
        handed = re.findall(r'settings\(\s*"(\w+)"(?:, "(\w+)")?[,)]', rule)
        if name and hasattr(cli.command(name[1]), "SETTINGS"):
            ((command, sections),) = handed
            assert command == name[1]
            assert "--settings {params.settings:q}" in rule
            passed.add((command, sections or "SETTINGS"))
            assert hasattr(cli.command(command), sections or "SETTINGS")
        else:
            assert not handed
    assert ("train", "SETTINGS") in passed and ("train", "FULL_SETTINGS") in passed


def test_what_every_rule_has_is_said_once(project):
    """Each job has a log and a benchmark of its own, named after its rule and wildcards."""
    logs = [path.relative_to(project.root / "logs") for path in (project.root / "logs").rglob("*")]
    assert {"base.log", "train/rank1_seed0.log", "evaluate/base.log"} <= set(map(str, logs))
    assert (project.root / "logs" / "benchmarks" / "train" / "rank1_seed0.tsv").is_file()
