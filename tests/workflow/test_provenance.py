"""Each result has a record of what it came from, and the way back to the corpus can be followed."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from minituner.foundation import checkout, storage, trace
from minituner.foundation.errors import UserError
from minituner.workflow import provenance
from minituner.workflow.cli import main
from tests.support.tiny_project import ROOT

SUBSETS = {"seed": 0, "train": 9, "val": 9, "test": 9, "control_val": 9, "control_test": 9}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder where the corpus and the subsets were made by the command line."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data", "data", ignore=shutil.ignore_patterns("*.parquet", ".*"))

    def run(*arguments):
        assert main(list(arguments)) == 0

    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    corpus = json.dumps({"corpus": settings["corpus"]})
    subsets = json.dumps({"subsets": SUBSETS | {"unseen_cells": [], "unseen_subjects": []}})
    templates = ["--templates", "data/templates.csv"]
    verbs, corpus_file = ["--verbs", "data/verbs.csv"], "data/corpus.parquet"
    run("corpus", "--settings", corpus, *verbs, *templates, "--out", corpus_file)
    drawn = ["--irregular", "data/i.parquet", "--control", "data/c.parquet"]
    run("subsets", "--settings", subsets, "--corpus", corpus_file, *verbs, *drawn)
    return tmp_path


def test_a_record_names_command_inputs_settings_packages_cpu_and_mode(made):
    record = provenance.current_record(Path("data/i.parquet"))
    assert record["command"] == "subsets"
    assert record["inputs"] == {
        name: storage.sha256(name) for name in ("data/corpus.parquet", "data/verbs.csv")
    }
    assert record["settings"]["subsets"]["train"] == 9
    assert record["packages"]["torch"].startswith("2.13.0")
    assert record["cpu"] and record["numerics"] == "pinned"
    assert record["variables"]["OMP_NUM_THREADS"] == "1"
    assert len(record["commit"]) in (40, 41) and len(record["code"]) == 64


def test_a_record_says_nothing_of_the_log(made):
    before = provenance.current_record(Path("data/corpus.parquet"))
    settings = ["--settings", json.dumps(before["settings"])]
    tables = ["--verbs", "data/verbs.csv", "--templates", "data/templates.csv"]
    out = ["--out", "data/corpus.parquet", "--log", "corpus.log"]
    assert main(["corpus", *settings, *tables, *out]) == 0
    assert Path("corpus.log").read_text(encoding="utf-8").startswith("data/corpus.parquet: ")
    after = provenance.current_record(Path("data/corpus.parquet"))
    assert after["arguments"] == before["arguments"]
    assert after["inputs"] == before["inputs"] and after["sha256"] == before["sha256"]


def test_the_way_back_ends_at_what_was_given(made, capsys):
    assert main(["provenance", "data/i.parquet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("data/i.parquet ") and "by minituner subsets" in lines[0]
    assert lines[1].startswith("  data/corpus.parquet ") and "by minituner corpus" in lines[1]
    assert [line.split()[0] for line in lines if line.endswith("given")] == [
        "data/templates.csv",
        "data/verbs.csv",
    ]
    assert "  data/verbs.csv  (above)" in lines
    assert any(line.startswith("commit: ") for line in lines)


def test_a_changed_input_is_told(made, capsys):
    with open("data/verbs.csv", "a", encoding="utf-8") as file:
        file.write("\n")
    main(["provenance", "data/i.parquet"])
    assert "data/verbs.csv" in capsys.readouterr().out.split("CHANGED since")[0].splitlines()[-1]


def test_a_record_of_other_bytes_is_not_believed(made):
    storage.write_json("x.json", 1)
    Path(".provenance").mkdir()
    shutil.copy(trace.record_path("data/i.parquet"), trace.record_path("x.json"))
    assert provenance.current_record(Path("x.json")) is None


def test_a_pulled_file_is_told_from_the_lock_of_dvc(made, capsys):
    shutil.rmtree("data/.provenance")
    entry = {"cmd": "snakemake corpus", "deps": [{"path": "data/verbs.csv", "md5": "0" * 32}],
             "params": {"params.yaml": {"corpus": {"seed": 0}}},
             "outs": [{"path": "data/i.parquet", "md5": "1" * 32}]}  # fmt: skip
    provenance.LOCK.write_text(yaml.safe_dump({"stages": {"corpus": entry}}), encoding="utf-8")
    main(["provenance", "data/i.parquet"])
    shown = capsys.readouterr().out
    assert "DVC's stage corpus made it: snakemake corpus" in shown
    assert "data/verbs.csv  md5 000000000000" in shown and '"seed": 0' in shown


def test_a_missing_file_is_one_line(made):
    with pytest.raises(UserError, match="nothing.png: no such file"):
        provenance.explain(Path("nothing.png"))


def test_without_git_there_is_still_a_record(monkeypatch, tmp_path):
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    (tmp_path / "Snakefile").touch()
    assert provenance.commit() is None
