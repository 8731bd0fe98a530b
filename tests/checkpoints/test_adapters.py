"""An adapter is read as it was written; one that is foreign, broken or untrained is refused."""

import json

import pytest
import torch

from minituner.checkpoints.adapters import load_adapter, save_adapter
from minituner.checkpoints.models import load_model, load_tensors, save_model
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, lora_state_dict, wrap_minigpt_with_lora


@pytest.fixture
def adapter(base, tmp_path):
    """An adapter, moved away from its start, made for `base`."""
    model = wrap_minigpt_with_lora(load_model(base), r=2, alpha=4.0)
    for layer in lora_layers(model).values():
        torch.nn.init.normal_(layer.lora_B)
    save_adapter(tmp_path / "adapter", model, base)
    return tmp_path / "adapter"


def test_an_adapter_round_trips_with_its_scale(adapter, base):
    model = load_adapter(adapter, load_model(base), base)
    tensors = load_tensors(adapter / "adapter_model.safetensors")
    assert all(torch.equal(tensors[name], t) for name, t in lora_state_dict(model).items())
    assert {layer.scaling for layer in lora_layers(model).values()} == {2.0}


def test_the_adapters_json_has_the_fields_that_peft_reads(adapter):
    config = json.loads((adapter / "adapter_config.json").read_text())
    expected = {"peft_type": "LORA", "r": 2, "lora_alpha": 4.0, "bias": "none"}
    assert expected.items() <= config.items()
    assert config["target_modules"] == ["q_proj", "v_proj"]


def test_an_adapter_for_another_base_is_refused(adapter, model, tmp_path):
    with torch.no_grad():
        model.ln_f.bias += 1
    save_model(tmp_path / "other", model)
    with pytest.raises(UserError, match="revision: the adapter was trained on another base"):
        load_adapter(adapter, model, tmp_path / "other")


def test_an_untrained_adapter_is_refused(base, tmp_path):
    model = wrap_minigpt_with_lora(load_model(base))
    save_adapter(tmp_path / "fresh", model, base)
    with pytest.raises(UserError, match="every lora_B is zero"):
        load_adapter(tmp_path / "fresh", load_model(base), base)


@pytest.mark.parametrize(
    ("field", "value"), [("r", None), ("r", "two"), ("lora_alpha", -1), ("target_modules", ["x"])]
)
def test_a_bad_field_of_the_adapter_is_refused(adapter, base, field, value):
    config = storage.read_json(adapter / "adapter_config.json")
    config[field] = value
    storage.write_json(adapter / "adapter_config.json", config)
    with pytest.raises(UserError):
        load_adapter(adapter, load_model(base), base)
