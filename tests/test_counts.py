"""Formulas give the published figures, and what instantiated models and written files hold."""

import pytest

from minituner.budget import formula as counts
from minituner.budget import shapes
from minituner.budget.formula import ALL_LINEARS, Regime
from minituner.budget.shapes import PRESETS
from minituner.checkpoints import checkpoint
from minituner.foundation import storage
from minituner.lora import wrap_minigpt_with_lora

SETTINGS = {
    "lora": {"target_modules": ["q_proj", "v_proj"]},
    "tuning": {"batch_size": 4},
    "sweep": {"ranks": [1, 2, 4]},
    "nf4": {"blocksize": 64, "double_quant": False},
}


def test_the_share_of_trained_parameters_is_of_the_model_with_its_adapter():
    row = counts.count(PRESETS["minigpt"], Regime("lora", 8, ALL_LINEARS), 1)
    assert row["trainable_percent"] == 100 * row["trainable_parameters"] / row["total_parameters"]


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ALL_LINEARS, ("fc1",)])
def test_each_row_is_what_the_instantiated_model_holds(config, method, targets):
    regime = Regime(method, 3, targets)
    row = counts.count(shapes.of(config), regime, 2 * 8)
    counts.verify(config, regime, row)
    row["weights_bytes"] += 1
    with pytest.raises(AssertionError, match="the model holds"):
        counts.verify(config, regime, row)


def test_the_predicted_file_size_is_the_written_files(model, base, tmp_path):
    wrap_minigpt_with_lora(model, r=3)
    checkpoint.save_adapter(tmp_path / "a", model, base)
    shapes = {name: tuple(t.shape) for name, t in counts.lora_state_dict(model).items()}
    size = (tmp_path / "a" / "adapter_model.safetensors").stat().st_size
    assert counts.safetensors_bytes(shapes) == size


def test_the_report_has_the_five_regimes_first_and_every_swept_rank(base, tmp_path):
    counts.report(SETTINGS, base, tmp_path / "out")
    rows = storage.read_table(tmp_path / "out" / "counts.parquet").to_pylist()
    assert [row["regime"] for row in rows[:5]] == [
        "full fine-tuning",
        "LoRA r=4, all Linears",
        "LoRA r=8, all Linears",
        "LoRA r=16, all Linears",
        "QLoRA r=8, all Linears",
    ]
    names = [row["regime"] for row in rows]
    assert len(names) == len(set(names))
    for rank in SETTINGS["sweep"]["ranks"]:
        assert f"LoRA r={rank}, q_proj, v_proj" in names
        assert f"LoRA r={rank}, all Linears" in names
    text = (tmp_path / "out" / "counts.md").read_text()
    assert all(f"| {name} |" in text for name in names)
    assert (tmp_path / "out" / "counts.csv").read_text().count("\n") == len(rows) + 1


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (833_536, "834 KB"), (8e9, "8 GB")]
)
def test_bytes_are_readable(n, text):
    assert counts.human(n) == text
