"""dvc.yaml against the workflow: the same files, sources and settings, no more and no fewer."""

import csv
import json
import re

import pytest
import yaml

from minituner.workflow import cli, sources
from tests.support.tiny_project import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
GATHER = {"trained", "qlora_trained"}  # rules that only gather files
FILE = {
    rule: path.relative_to(ROOT).as_posix()
    for path in (ROOT / "rules" / "experiment").glob("*.smk")
    for rule in re.findall(r"(?m)^rule (\w+):", path.read_text(encoding="utf-8"))
}


def command(rule):
    """The module of the subcommand that a rule runs."""
    return cli.command(sources.COMMAND_OF_RULE.get(rule, rule))


def sections(rule):
    """The settings that a rule hands to its job."""
    name = "FULL_SETTINGS" if rule == "train_full" else "SETTINGS"
    return getattr(command(rule), name, ())


def allowed(stage):
    """The rules that a stage's command may run, and its targets."""
    rules, _, targets = STAGES[stage]["cmd"].partition("--allowed-rules ")[2].partition(" -- ")
    return [rule for rule in rules.split() if rule not in GATHER], targets.split()


def outs(stage):
    """A stage's outs, plots and metrics as plain paths."""
    listed = STAGES[stage].get("outs", []) + STAGES[stage].get("metrics", [])
    return [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def covers(out, path):
    return path == out or path.startswith(f"{out}/")


@pytest.fixture(scope="module")
def outputs(finished):
    """Output file → rule, of the whole workflow."""
    text = finished.run("snakemake", "--quiet", "all", "--summary", "--", "all").stdout
    lines = text[text.index("output_file") :].splitlines()
    return {row["output_file"]: row["rule"] for row in csv.DictReader(lines, delimiter="\t")}


def test_every_workflow_output_is_covered_by_exactly_one_out(outputs):
    for path in outputs:
        assert sum(covers(out, path) for stage in STAGES for out in outs(stage)) == 1, path


def test_every_out_holds_workflow_outputs_and_only_those_of_its_stage(outputs):
    for stage in STAGES:
        rules = set(allowed(stage)[0])
        for out in outs(stage):
            made_by = {rule for path, rule in outputs.items() if covers(out, path)}
            assert made_by and made_by <= rules, (stage, out, made_by)


def test_a_folder_that_is_an_out_holds_nothing_but_outputs(finished, outputs):
    for stage in STAGES:
        for out in outs(stage):
            for path in (finished.root / out).rglob("*"):
                if path.parent.name != ".provenance" and not path.is_dir():
                    assert str(path.relative_to(finished.root)) in outputs


def test_a_stage_allows_each_rule_whose_outputs_it_owns(outputs):
    for stage in STAGES:
        made_by = {r for path, r in outputs.items() if any(covers(o, path) for o in outs(stage))}
        assert made_by == set(allowed(stage)[0]), stage


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_sources_that_its_jobs_run(stage):
    rules = allowed(stage)[0]
    listed = [dep for dep in STAGES[stage]["deps"] if re.fullmatch("minituner/.*[.]py", dep)]
    assert listed == sources.of(*(sources.COMMAND_OF_RULE.get(rule, rule) for rule in rules))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_rule_files(stage):
    files = {FILE[rule] for rule in allowed(stage)[0]}
    listed = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".smk") or dep == "Snakefile"}
    assert listed == {"Snakefile", "rules/common.smk", *files}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_settings_that_its_jobs_see(stage):
    rules, _ = allowed(stage)
    seen = {section for rule in rules for section in sections(rule)}
    listed = set(STAGES[stage].get("params", []))
    for section in seen:
        assert section in listed or section.partition(".")[0] in listed, section
    for section in listed:
        # The sweep's lists also say which jobs there are.
        assert section in seen or section.startswith("sweep"), section


def test_a_stage_depends_on_the_artifacts_that_its_jobs_read(finished, outputs):
    """What a stage's rules take as input from other stages is among its deps."""
    for stage in STAGES:
        rules = allowed(stage)[0]
        deps = [dep for dep in STAGES[stage]["deps"] if dep.startswith(("data/", "results/"))]
        read = set()
        for rule in rules:
            text = (ROOT / FILE[rule]).read_text(encoding="utf-8")
            read |= set(re.findall(r"rule (\w+)", text))
        for record in records(finished):
            if record["rule"] in rules:
                for path in record["input"]:
                    own = any(covers(out, path) for out in outs(stage))
                    if path in outputs and not own and not record["ancient"](path):
                        assert any(covers(dep, path) for dep in deps), (stage, path)


def records(project):
    """Snakemake's records of the finished run: rule and input files of each output."""
    for path in (project.root / ".snakemake" / "metadata").iterdir():
        record = json.loads(path.read_text())
        # The gate only waits for the reports; its sole other input is the judge's file.
        waited = record["rule"] == "gate"
        yield {
            "rule": record["rule"],
            "input": record["input"],
            "ancient": lambda p, waited=waited: waited and p != "results/definition_of_done.json",
        }


def test_dvc_shows_metrics_plots_and_changed_settings(project):
    metrics = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)
    (row,) = metrics[""]["data"].values()
    assert row["data"]["criteria_met"] == 5
    project.set("evaluate", bootstrap=21)
    assert "evaluate.bootstrap" in project.run("dvc", "params", "diff").stdout
    shown = project.run("dvc", "plots", "show", "--json").stdout
    plots = json.loads(shown[shown.index("{") :])
    assert not plots.get("errors")
    assert all(plots["data"].values())


@pytest.mark.long
def test_an_experiment_runs_its_stages_and_leaves_both_tools_with_nothing_to_do(project):
    ran = project.run("dvc", "exp", "run", "-S", "definition_of_done.perplexity_drift=998").stdout
    stages = {"verdict", "page", "values", "gate"}
    assert set(re.findall("Running stage '(\\w+)'", ran)) == stages
    assert "998" in (project.root / "params.yaml").read_text()
    assert project.jobs() == {}
    assert project.stale_stages() == set()


@pytest.mark.long
def test_sentences_that_git_does_not_know_are_named_in_a_run_that_works_in_a_copy(project, tried):
    """`--temp` takes along what git knows; the message says what else to give it."""
    (project.root / "data" / "own" / "mine.csv").write_text("read\n")
    project.set("corpus", file="data/own/mine.csv")

    def said(*options):
        done = project.run("dvc", "exp", "run", "--temp", "corpus", *options, ok=False)
        (line,) = re.findall("^minituner: error: (.*)", done.stdout, re.M)
        return line

    first = said()
    assert first.startswith("params.yaml: corpus.file: no such file: data/own/mine.csv; ")
    assert said(*re.search("add `(.*)`", first)[1].split()).startswith("data/own/mine.csv: row 1: ")
    report = "treeverse/dvc.org#4044"
    tried("a file git does not know, in `dvc exp run --temp`", report, "named with the remedy")
