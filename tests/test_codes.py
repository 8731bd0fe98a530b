"""Counts of NF4's codes: those that the model really holds."""

import numpy as np
import pytest

from minituner import qlora
from minituner.analysis import codes
from minituner.checkpoints import checkpoint
from minituner.foundation import errors, storage


@pytest.fixture
def nf4_base(base, tmp_path):
    settings = {"nf4": {"blocksize": 64, "double_quant": False}}
    qlora.quantize_checkpoint(settings, base, tmp_path / "nf4")
    return tmp_path / "nf4"


def test_unpacked_codes_give_the_dequantized_weights(nf4_base):
    model = checkpoint.load_model(nf4_base)
    layer = model.blocks[0].attn.q_proj
    values = codes.nf4.code_values().numpy()[codes.unpack(layer)]
    scales = layer.quant_state.scales().numpy().repeat(64)
    assert np.array_equal(values * scales, layer.dequantized().numpy().ravel())


def test_every_weight_is_counted_once_and_falls_within_one(base, nf4_base, tmp_path):
    for out in ("one", "two"):
        codes.report(base, nf4_base, tmp_path / out)
    model = checkpoint.load_model(base)
    total = sum(model.get_submodule(name).weight.numel() for name in qlora.block_linears(model))
    for name in ("codes", "histogram"):
        table = storage.read_table(tmp_path / "one" / f"{name}.parquet").to_pandas()
        assert table["weights"].sum() == total, name
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_no_rounding_error_exceeds_half_the_widest_gap(base, nf4_base, tmp_path):
    codes.report(base, nf4_base, tmp_path)
    table = storage.read_table(tmp_path / "codes.parquet").to_pandas()
    assert table["error"].max() <= np.diff(table["value"]).max() / 2


def test_a_float_model_has_no_codes(base, tmp_path):
    with pytest.raises(errors.UserError, match="no NF4 model"):
        codes.report(base, base, tmp_path)
