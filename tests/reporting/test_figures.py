"""Pictures are drawn whole from a summary, and twice to the same bytes."""

import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from minituner.analysis.verdict import SOURCE_KEY
from minituner.checkpoints import runs
from minituner.foundation import parquet, storage
from minituner.reporting import figures, verdict_figure
from tests.support.command import call

SWEEP = {"ranks": [1, 2, 4], "qlora_ranks": [2], "seeds": [0, 1]}
BARS = {"accuracy_gain": 0.1, "perplexity_drift": 0.05, "adapter_ratio": 0.01, "agreement": 1.25}
METRICS = (
    "accuracy",
    "accuracy_gain",
    "accuracy_over_lowest",
    "margin",
    "margin_gain",
    "perplexity_drift",
)
METRICS += ("control_accuracy", "cell_accuracy")


@pytest.fixture
def results(tmp_path):
    units = ["base", "nf4", "full", "qlora_r2", *(f"lora_r{r}" for r in SWEEP["ranks"])]
    units += runs.lora_runs(SWEEP)
    rows = [
        {
            "unit": unit,
            "rank": runs.parse_run(unit)["rank"] or 0,
            "metric": metric,
            "split": split,
            "seeds": 2,
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "p": 0.2 if metric.endswith("_over_lowest") else None,
        }
        for unit, metric, split in itertools.product(units, METRICS, ("val", "test"))
    ]
    parquet.write_frame(tmp_path / "evaluate" / "summary.parquet", pd.DataFrame(rows))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"x" * 1000)
    for run in [*runs.lora_runs(SWEEP), *runs.full_runs(SWEEP)]:
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
    names = {
        f"{n}.{e}" for n in ("verdict", "ablation", "pareto", "curves") for e in ("png", "svg")
    }
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


def test_the_verdict_shows_the_judged_adapter_before_and_after_and_its_size_by_area(results):
    summary = parquet.read_frame(results / "evaluate" / "summary.parquet")
    judged = (summary["unit"] == "lora_r2_s1") & (summary["split"] == "test")
    summary.loc[judged & (summary["metric"] == "accuracy"), ["value", "high"]] = [0.75, 0.8]
    figure = verdict_figure.verdict(summary, "lora_r2_s1", 100, 1000)
    learnt, kept, size = figure.axes
    for axes, after in ((learnt, 0.75), (kept, 0.5)):
        assert [bar.get_width() for bar in axes.patches] == [0.5, after]
        assert [text.get_text() for text in axes.texts] == ["50 %", f"{100 * after:.0f} %"]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["before", "after"]
    base, adapter = (patch.get_width() * patch.get_height() for patch in size.patches)
    assert adapter / base == pytest.approx(0.1)
    assert "10 %" in [text.get_text() for text in size.texts]
