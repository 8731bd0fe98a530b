"""Formulas give the published figures, and what written files hold."""

from minituner.budget import formula
from minituner.budget.formula import ALL_LINEARS, Regime
from minituner.budget.shapes import PRESETS
from minituner.checkpoints.adapters import save_adapter
from minituner.lora import lora_state_dict, wrap_minigpt_with_lora


def test_the_share_of_trained_parameters_is_of_the_model_with_its_adapter():
    row = formula.count(PRESETS["minigpt"], Regime("lora", 8, ALL_LINEARS), 1)
    assert row["trainable_percent"] == 100 * row["trainable_parameters"] / row["total_parameters"]


def test_the_predicted_file_size_is_the_written_files(model, base, tmp_path):
    wrap_minigpt_with_lora(model, r=3)
    save_adapter(tmp_path / "a", model, base)
    tensors = {name: tuple(t.shape) for name, t in lora_state_dict(model).items()}
    size = (tmp_path / "a" / "adapter_model.safetensors").stat().st_size
    assert formula.safetensors_bytes(tensors) == size
