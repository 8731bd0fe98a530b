"""A rebuilt dvc.lock that differs is refused, and the first stage and the cause are named."""

import copy
import json

import pytest
import yaml

from minituner.foundation import environment
from minituner.foundation.errors import UserError
from minituner.workflow import provenance, reproduce
from minituner.workflow.cli import main
from tests.support.command import call


def entry(name, md5):
    return {"path": name, "hash": "md5", "md5": md5}


LOCK = {
    "schema": "2.0",
    "stages": {
        # Not in the order of the DAG, as in a real dvc.lock.
        "tune": {
            "cmd": "tune",
            "deps": [entry("base", "b0"), entry("train.py", "t0")],
            "params": {"params.yaml": {"tuning": {"steps": 100}}},
            "outs": [entry("adapter", "a0")],
        },
        "base": {"cmd": "pretrain", "deps": [entry("corpus.csv", "c0")],
                 "outs": [entry("base", "b0"), entry("curve", "k0")]},
    },
}  # fmt: skip
METRICS = {"accuracy": 0.99, "perplexity_drift": 0.02, "criteria_met": 5}


@pytest.fixture
def projects(tmp_path):
    """A recorded and a rebuilt project, equal until a test says otherwise."""
    for name in ("recorded", "made"):
        (tmp_path / name / "results").mkdir(parents=True)
        (tmp_path / name / "dvc.lock").write_text(yaml.safe_dump(LOCK), encoding="utf-8")
        (tmp_path / name / reproduce.METRICS).write_text(json.dumps(METRICS))
    call("environment", out=tmp_path / "recorded" / reproduce.RECORDED_ON)
    return tmp_path / "recorded", tmp_path / "made"


def rebuild(made, change):
    lock = copy.deepcopy(LOCK)
    change(lock["stages"])
    (made / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")


def test_equal_lock_files_are_reproduced(projects, capsys):
    assert main(["reproduce", "--recorded", str(projects[0]), "--made", str(projects[1])]) == 0
    assert "all 3 artifacts of dvc.lock byte for byte" in capsys.readouterr().out


def test_the_first_stage_in_the_dag_is_named_and_not_those_behind_it(projects):
    def change(stages):
        stages["base"]["outs"][0]["md5"] = stages["tune"]["deps"][0]["md5"] = "b1"
        stages["tune"]["outs"][0]["md5"] = "a1"
        stages["base"]["deps"][0]["md5"] = "c1"

    rebuild(projects[1], change)
    with pytest.raises(
        UserError, match="stage base is the first that differs, in base; .*corpus.csv: another file"
    ):
        reproduce.compare(*projects)


def test_a_changed_setting_is_named_with_both_values(projects):
    def change(stages):
        stages["tune"]["outs"][0]["md5"] = "a1"
        stages["tune"]["params"]["params.yaml"]["tuning"]["steps"] = 99

    rebuild(projects[1], change)
    with pytest.raises(UserError, match=r"stage tune .* tuning\.steps: 100 → 99"):
        reproduce.compare(*projects)


@pytest.mark.parametrize(
    "key, then, named",
    [
        ("cpu", "Another CPU", "cpu: Another CPU → "),
        ("packages", {"torch": "1.0"}, "packages.torch: 1.0 → 2.13"),
    ],
)
def test_another_cpu_or_package_is_named(projects, key, then, named):
    here = provenance.made_with()
    (projects[0] / reproduce.RECORDED_ON).write_text(json.dumps(here | {key: then}))
    rebuild(projects[1], lambda stages: stages["tune"]["outs"][0].update(md5="a1"))
    with pytest.raises(UserError, match=named):
        reproduce.compare(*projects)


def test_a_difference_without_a_cause_is_said_to_be_one(projects):
    rebuild(projects[1], lambda stages: stages["tune"]["outs"][0].update(md5="a1"))
    with pytest.raises(UserError, match="nothing that is recorded, so please report it"):
        reproduce.compare(*projects)


def test_a_missing_or_broken_lock_file_is_named(projects):
    (projects[1] / "dvc.lock").write_text("stages: 3\n")
    with pytest.raises(UserError, match="no lock file of DVC"):
        reproduce.compare(*projects)
    (projects[1] / "dvc.lock").unlink()
    with pytest.raises(UserError, match="no such file; run dvc repro"):
        reproduce.compare(*projects)


@pytest.mark.parametrize("metric, value", [("accuracy", 0.96), ("criteria_met", 4)])
def test_outside_the_promise_figures_are_compared_instead(projects, monkeypatch, metric, value):
    monkeypatch.setattr(environment, "outside_promise", lambda: "a CPU without avx2")
    rebuild(projects[1], lambda stages: stages["tune"]["outs"][0].update(md5="a1"))
    assert "a CPU without avx2" in reproduce.compare(*projects)
    (projects[1] / reproduce.METRICS).write_text(json.dumps(METRICS | {metric: value}))
    with pytest.raises(UserError, match=f"outside the tolerances: {metric}: "):
        reproduce.compare(*projects)


def test_a_cpu_without_avx2_and_another_system_are_outside_the_promise(monkeypatch):
    assert environment.outside_promise() is None
    monkeypatch.setattr(environment, "_cpu", lambda field: "fma bmi2 f16c")
    assert "has no avx2" in environment.outside_promise()
    monkeypatch.setattr(environment.platform, "machine", lambda: "riscv64")
    assert "riscv64" in environment.outside_promise()
    monkeypatch.setattr(environment.platform, "machine", lambda: "aarch64")
    assert environment.outside_promise() is None
    monkeypatch.setattr(environment.platform, "system", lambda: "Darwin")
    assert "Darwin" in environment.outside_promise()
