"""Pictures are drawn whole from a summary, and twice to the same bytes."""

import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from minituner.analysis.verdict import SOURCE_KEY
from minituner.foundation import parquet, storage
from minituner.reporting import figures
from tests.support.command import call

SWEEP = {"ranks": [1, 2, 4], "qlora_ranks": [2], "seeds": [0, 1]}
BARS = {"accuracy_gain": 0.1, "perplexity_drift": 0.05, "adapter_ratio": 0.01, "agreement": 1.25}
METRICS = ("accuracy", "accuracy_over_lowest", "margin", "margin_gain", "perplexity_drift")
METRICS += ("control_accuracy", "cell_accuracy")


@pytest.fixture
def results(tmp_path):
    units = ["base", "nf4", "full", "qlora_r2", *(f"lora_r{r}" for r in SWEEP["ranks"])]
    rows = [
        {
            "unit": unit,
            "rank": int(unit.partition("_r")[2] or 0),
            "metric": metric,
            "split": "test",
            "seeds": 2,
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "p": 0.2 if metric.endswith("_over_lowest") else None,
        }
        for unit, metric in itertools.product(units, METRICS)
    ]
    parquet.write_frame(tmp_path / "evaluate" / "summary.parquet", pd.DataFrame(rows))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"x" * 1000)
    runs = [f"lora_r{r}_s{s}" for r in SWEEP["ranks"] for s in SWEEP["seeds"]]
    for run in [*runs, *(f"full_s{s}" for s in SWEEP["seeds"])]:
        folder = tmp_path / "train" / run
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(b"x" * 10)
        curve = pd.DataFrame({"step": [0, 5, 10], "val_loss": np.array([1.0, 0.5, 0.2])})
        curve.to_csv(folder / "curve.csv", index=False)
    return tmp_path


def draw(results, out):
    settings = {"sweep": SWEEP, "definition_of_done": BARS}
    folders = {name: results / name for name in ("evaluate", "train", "base")}
    call("plot", given=settings, **folders, out=out)


def test_every_figure_is_drawn_and_twice_to_the_same_bytes(results, tmp_path):
    for out in ("one", "two"):
        draw(results, tmp_path / out)
    names = {f"{n}.{e}" for n in ("ablation", "pareto", "curves") for e in ("png", "svg")}
    assert {p.name for p in (tmp_path / "one").iterdir()} == names
    for name in names:
        one, two = ((tmp_path / out / name).read_bytes() for out in ("one", "two"))
        assert one == two, name


def test_a_picture_says_which_evaluation_it_shows(results, tmp_path):
    draw(results, tmp_path / "out")
    with Image.open(tmp_path / "out" / "ablation.png") as image:
        expected = storage.sha256(results / "evaluate" / "summary.parquet")
        assert image.info[SOURCE_KEY] == expected
        assert min(image.size) > 1000


def test_the_ablation_has_the_bars_and_every_swept_rank(results):
    summary = parquet.read_frame(results / "evaluate" / "summary.parquet")
    sizes = pd.DataFrame({"rank": SWEEP["ranks"], "ratio": [0.005, 0.01, 0.02]})
    figure = figures.ablation(summary, sizes, SWEEP, BARS)
    written = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert written == {"bar: +5 %", "bar: 1 %"}
    assert "base 50%, bar 60%" in figure.axes[0].get_ylabel()
    (legend,) = figure.legends
    methods = {text.get_text() for text in legend.get_texts()}
    assert {"LoRA", "QLoRA", "full fine-tuning", "base"} <= methods
    for axes in figure.axes:
        assert list(axes.get_xticks()) == SWEEP["ranks"]
