"""What is written can be read again; what is broken, foreign or untrained is refused by name."""

import json
import re

import pytest
import torch

from minituner.checkpoints import checkpoint
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, lora_state_dict, wrap_minigpt_with_lora


@pytest.fixture
def adapter(base, tmp_path):
    """An adapter, moved away from its start, made for `base`."""
    model = wrap_minigpt_with_lora(checkpoint.load_model(base), r=2, alpha=4.0)
    for layer in lora_layers(model).values():
        torch.nn.init.normal_(layer.lora_B)
    checkpoint.save_adapter(tmp_path / "adapter", model, base)
    return tmp_path / "adapter"


def test_a_model_round_trips(model, base):
    loaded = checkpoint.load_model(base)
    assert loaded.config == model.config
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True)
    )


def test_an_adapter_round_trips_with_its_scale(adapter, base):
    model = checkpoint.load_adapter(adapter, checkpoint.load_model(base), base)
    tensors = checkpoint.load_tensors(adapter / "adapter_model.safetensors")
    assert all(torch.equal(tensors[name], t) for name, t in lora_state_dict(model).items())
    assert {layer.scaling for layer in lora_layers(model).values()} == {2.0}


def test_the_adapters_json_has_the_fields_that_peft_reads(adapter):
    config = json.loads((adapter / "adapter_config.json").read_text())
    expected = {"peft_type": "LORA", "r": 2, "lora_alpha": 4.0, "bias": "none"}
    assert expected.items() <= config.items()
    assert config["target_modules"] == ["q_proj", "v_proj"]


def test_the_same_model_is_saved_to_the_same_bytes(model, tmp_path):
    for name in ("a", "b"):
        checkpoint.save_model(tmp_path / name, model)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_checkpoint_is_named(base, keep):
    path = base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.safetensors: truncated .* make it again"):
        checkpoint.load_model(base)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        checkpoint.load_model(tmp_path)


def test_nan_in_a_checkpoint_is_named(model, tmp_path):
    with torch.no_grad():
        model.ln_f.bias[0] = float("nan")
    checkpoint.save_model(tmp_path, model)
    with pytest.raises(UserError, match=r"ln_f\.bias: holds NaN"):
        checkpoint.load_model(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("d_model", 0), ("d_model", "64"), ("n_head", None), ("vocab", ""), ("n_layer", True)],
)
def test_a_bad_field_of_the_configuration_is_named(base, field, value):
    config = storage.read_json(base / "config.json")
    config["model"][field] = value
    storage.write_json(base / "config.json", config)
    with pytest.raises(UserError, match=rf"config\.json: model\.{field}"):
        checkpoint.load_model(base)


def test_weights_of_another_shape_are_refused(base):
    config = storage.read_json(base / "config.json")
    config["model"]["d_model"] = 32
    storage.write_json(base / "config.json", config)
    with pytest.raises(UserError, match="does not fit"):
        checkpoint.load_model(base)


def test_an_adapter_for_another_base_is_refused(adapter, model, tmp_path):
    with torch.no_grad():
        model.ln_f.bias += 1
    checkpoint.save_model(tmp_path / "other", model)
    with pytest.raises(UserError, match="revision: the adapter was trained on another base"):
        checkpoint.load_adapter(adapter, model, tmp_path / "other")


def test_an_untrained_adapter_is_refused(base, tmp_path):
    model = wrap_minigpt_with_lora(checkpoint.load_model(base))
    checkpoint.save_adapter(tmp_path / "fresh", model, base)
    with pytest.raises(UserError, match="every lora_B is zero"):
        checkpoint.load_adapter(tmp_path / "fresh", checkpoint.load_model(base), base)


@pytest.mark.parametrize(
    ("field", "value"), [("r", None), ("r", "two"), ("lora_alpha", -1), ("target_modules", ["x"])]
)
def test_a_bad_field_of_the_adapter_is_refused(adapter, base, field, value):
    config = storage.read_json(adapter / "adapter_config.json")
    config[field] = value
    storage.write_json(adapter / "adapter_config.json", config)
    with pytest.raises(UserError):
        checkpoint.load_adapter(adapter, checkpoint.load_model(base), base)


def test_nothing_is_read_through_pickle():
    from pathlib import Path

    package = Path(checkpoint.__file__).parents[1]
    for path in package.rglob("*.py"):
        source = path.read_text()
        assert not re.search(r"(?<!safetensors\.)torch\.load\(|import pickle", source), path
