"""The model card: its figures, its hashes, its snippet, and the hub's own reader."""

import re

import pandas as pd
import pytest
import yaml

from minituner.analysis.summary import lookup
from minituner.analysis.wording import LEVELS
from minituner.checkpoints.runs import parse_run
from minituner.foundation import storage
from minituner.reporting import model_card
from minituner.workflow import settings

# Of the hub's template, which PEFT writes too, in their order.
SECTIONS = [
    "Model Details",
    "Uses",
    "Bias, Risks, and Limitations",
    "How to Get Started with the Model",
    "Training Details",
    "Evaluation",
    "Environmental Impact",
    "Technical Specifications",
    "Citation",
]


@pytest.fixture(scope="module")
def text(finished):
    return (finished.root / "results" / "model_card.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def front(text):
    """The YAML in front."""
    return yaml.safe_load(text.split("---\n")[1])


@pytest.fixture(scope="module")
def run(finished):
    """The judged adapter's name."""
    verdict = storage.read_json(finished.root / "results" / "definition_of_done.json")
    return verdict["adapter"]["adapter"]


@pytest.fixture(scope="module")
def summary(finished):
    return pd.read_parquet(finished.root / "results" / "evaluate" / "summary.parquet")


def test_the_card_has_the_sections_of_the_hubs_template(text, run):
    assert re.findall(r"(?m)^# (.*)$", re.sub(r"```.*?```", "", text, flags=re.S)) == [
        f"Model Card for {run}"
    ]
    assert re.findall(r"(?m)^## (.*)$", text) == SECTIONS


def test_the_front_matter_holds_the_fields_that_the_hub_documents(front, run, summary):
    assert front["library_name"] == "peft" and front["pipeline_tag"] == "text-generation"
    assert front["license"] == "mit" and front["base_model"] == "results/base"
    assert {"lora", "base_model:adapter:results/base"} <= set(front["tags"])
    (model,) = front["model-index"]
    assert model["name"] == run
    measured = {}
    for result in model["results"]:
        assert result["task"]["type"] == "text-generation" and result["dataset"]["split"] == "test"
        kind = result["dataset"]["type"].removeprefix("minituner-")
        names = model_card.MEASURED[kind]
        measured |= dict(zip(names, (m["value"] for m in result["metrics"]), strict=True))
    assert measured == {metric: lookup(summary, run, metric)["value"] for metric in measured}
    assert {"accuracy", "margin", "control_accuracy", "perplexity_drift"} <= set(measured)


def test_the_hubs_own_reader_takes_the_card(text, run):
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(text).data
    assert data.model_name == run and data.library_name == "peft"
    assert {result.metric_type for result in data.eval_results} >= {"accuracy", "perplexity"}


def test_every_figure_of_the_tables_is_the_results(finished, text, run, summary):
    group = parse_run(run)["group"]
    for metric in ("accuracy", "accuracy_gain", "margin", "control_accuracy", "perplexity_drift"):
        for unit in (run, group):
            assert f" {LEVELS[metric].interval(lookup(summary, unit, metric))} |" in text
    verdict = (finished.root / "results" / "definition_of_done.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\|.*\|$", verdict.partition("criteria met")[0])
    assert len(rows) == 7 and all(f"{row}\n" in text for row in rows)


def test_every_hash_is_that_of_the_file_beside_it(finished, text, run):
    rows = re.findall(r"(?m)^\| .* \| `(.*)` \| `([0-9a-f]{64})` \|$", text)
    assert {"results/base/model.safetensors", f"results/train/{run}/adapter_model.safetensors"} <= {
        path for path, _ in rows
    }
    for path, digest in rows:
        assert storage.sha256(finished.root / path) == digest, path
    adapter = storage.sha256(finished.root / f"results/train/{run}/adapter_model.safetensors")
    assert text.count(adapter) == 2  # in the citation as well


def test_the_settings_are_those_of_the_run(finished, text):
    shown = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1])
    given = settings.load(finished.root / "params.yaml", *model_card.SECTIONS)
    assert shown == given


def test_no_clock_host_path_or_pytorch_is_in_it(finished, text):
    assert str(finished.root) not in text and str(finished.root.parent.parent) not in text
    assert not re.search(r"\b\d\d:\d\d:\d\d\b|\b20[2-9]\d-\d\d-\d\d\b", text)
    assert not re.search(r"(?i)torch \d", text)


def test_the_snippet_runs_as_it_stands(finished, text):
    snippet = re.search(r"```python\n(.*?)```", text, re.S)[1]
    said = finished.run("python", "-c", snippet).stdout
    assert said.endswith("\n") and "Traceback" not in said  # 20 steps teach it no words


def test_the_card_made_again_has_the_same_bytes(project):
    card = project.root / "results" / "model_card.md"
    before = card.read_bytes()
    card.unlink()
    project.run("snakemake", "card")
    assert card.read_bytes() == before


def test_a_missed_verdict_stands_in_front_of_everything_that_is_said(project):
    judged = project.root / "results" / "definition_of_done.json"
    verdict = storage.read_json(judged)
    verdict["criteria"][1]["met"] = verdict["met"] = False
    storage.write_json(judged, verdict)
    project.run(
        "python", "-m", "minituner", "card", "--data", "data", "--results", "results",
        "--out", "missed.md",
    )  # fmt: skip
    text = (project.root / "missed.md").read_text(encoding="utf-8")
    first, second = text.split("---\n", 2)[2].strip().split("\n\n")[1].splitlines()
    assert first.startswith("> **The definition of done is not met**: 1 of 5 criteria")
    assert second.startswith("> - criterion 2 control perplexity drift: ")
    assert "All 5 criteria" not in text
