"""A step's memory at any shape: each point is measured or says why not, and the page shows it."""

import itertools

import pandas as pd
import pytest

from benchmarks.memory_scaling import peak
from minituner.budget.formula import BUCKETS
from minituner.foundation import storage
from tests.support.command import call


@pytest.fixture
def points(tmp_path, monkeypatch):
    """Two shapes by two methods, one of them too large for the memory it is given."""
    monkeypatch.setattr(peak, "TOKENS", 8)
    shapes = ("minigpt", "minigpt,n_layer=6")
    for name, method in itertools.product(shapes, ("lora", "qlora")):
        path = tmp_path / "steps" / f"{name}_{method}.json"
        if (name, method) == (shapes[1], "lora"):
            storage.write_json(path, peak.take_step(name, method, free=1000))
        else:
            call("step", shape=name, method=method, out=path)
    return sorted((tmp_path / "steps").iterdir())


def test_a_point_tells_peak_and_prediction_or_why_it_was_not_run(points):
    rows = {(row["shape"], row["method"]): row for row in map(storage.read_json, points)}
    skipped = rows.pop(("minigpt,n_layer=6", "lora"))
    assert skipped["measured_bytes"] is None
    assert skipped["skipped"].endswith("1 KB free") and skipped["skipped"].startswith("needs ")
    for row in rows.values():
        assert row["skipped"] is None
        assert row["measured_bytes"] >= row["baseline_bytes"] > 0
        for bucket in BUCKETS:
            assert row[f"{bucket}_bytes_measured"] == row[f"{bucket}_bytes_predicted"]


def test_the_page_shows_every_point_and_is_drawn_twice_to_the_same_bytes(points, tmp_path):
    pages = []
    for name in ("one", "two"):
        call("scaling", steps=points, out=tmp_path / name, page=tmp_path / name / "docs")
        pages.append({p.name: p.read_bytes() for p in (tmp_path / name / "docs").iterdir()})
    assert pages[0] == pages[1]
    assert pages[0].keys() == {f"memory_scaling.{kind}" for kind in ("md", "png", "svg")}
    text = pages[0]["memory_scaling.md"].decode()
    assert text.count("| minigpt") == 4 and "not run: needs" in text
    assert "equal to the byte" in text
    table = pd.read_parquet(tmp_path / "one" / "memory_scaling.parquet")
    assert list(table["parameters"]) == sorted(table["parameters"])


def test_a_difference_between_tensors_and_formula_is_not_hidden(points, tmp_path):
    row = storage.read_json(points[-1])
    row["weights_bytes_measured"] += 1
    storage.write_json(points[-1], row)
    call("scaling", steps=points, out=tmp_path, page=tmp_path / "docs")
    assert "DIFFER" in (tmp_path / "docs" / "memory_scaling.md").read_text()
