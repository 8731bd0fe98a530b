"""What is written can be read again; what is broken or foreign is refused by name."""

import re
from pathlib import Path

import pytest
import torch

from minituner.checkpoints import models
from minituner.foundation import storage
from minituner.foundation.errors import UserError


def test_a_model_round_trips(model, base):
    loaded = models.load_model(base)
    assert loaded.config == model.config
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True)
    )


def test_the_same_model_is_saved_to_the_same_bytes(model, tmp_path):
    for name in ("a", "b"):
        models.save_model(tmp_path / name, model)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_checkpoint_is_named(base, keep):
    path = base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.safetensors: truncated .* make it again"):
        models.load_model(base)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        models.load_model(tmp_path)


def test_nan_in_a_checkpoint_is_named(model, tmp_path):
    with torch.no_grad():
        model.ln_f.bias[0] = float("nan")
    models.save_model(tmp_path, model)
    with pytest.raises(UserError, match=r"ln_f\.bias: holds NaN"):
        models.load_model(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("d_model", 0), ("d_model", "64"), ("n_head", None), ("vocab", ""), ("n_layer", True)],
)
def test_a_bad_field_of_the_configuration_is_named(base, field, value):
    config = storage.read_json(base / "config.json")
    config["model"][field] = value
    storage.write_json(base / "config.json", config)
    with pytest.raises(UserError, match=rf"config\.json: model\.{field}"):
        models.load_model(base)


def test_weights_of_another_shape_are_refused(base):
    config = storage.read_json(base / "config.json")
    config["model"]["d_model"] = 32
    storage.write_json(base / "config.json", config)
    with pytest.raises(UserError, match="does not fit") as error:
        models.load_model(base)
    assert "size mismatch for tok_emb.weight: copying a param" in str(error.value), "one line"
    assert "\n" not in str(error.value)


def test_nothing_is_read_through_pickle():
    package = Path(models.__file__).parents[1]
    for path in package.rglob("*.py"):
        source = path.read_text()
        assert not re.search(r"(?<!safetensors\.)torch\.load\(|import pickle", source), path
