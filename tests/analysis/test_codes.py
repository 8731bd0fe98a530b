"""Counts of NF4's codes: those that the model really holds."""

import numpy as np
import pytest

from minituner import nf4, qlora
from minituner.analysis import codes
from minituner.checkpoints.models import load_model
from minituner.foundation import parquet
from minituner.foundation.errors import UserError
from tests.support.command import call
from tests.support.runs import NF4


@pytest.fixture
def nf4_base(base, tmp_path):
    call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "nf4")
    return tmp_path / "nf4"


def test_unpacked_codes_give_the_dequantized_weights(nf4_base):
    model = load_model(nf4_base)
    layer = model.blocks[0].attn.q_proj
    values = nf4.code_values().numpy()[codes.unpack(layer)]
    scales = layer.quant_state.scales().numpy().repeat(64)
    assert np.array_equal(values * scales, layer.dequantized().numpy().ravel())


def test_every_weight_is_counted_once_and_falls_within_one(base, nf4_base, tmp_path):
    for out in ("one", "two"):
        call("codes", base=base, nf4=nf4_base, out=tmp_path / out)
    model = load_model(base)
    total = sum(model.get_submodule(name).weight.numel() for name in qlora.block_linears(model))
    for name in ("codes", "histogram"):
        table = parquet.read_frame(tmp_path / "one" / f"{name}.parquet")
        assert table["weights"].sum() == total, name
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_no_rounding_error_exceeds_half_the_widest_gap(base, nf4_base, tmp_path):
    call("codes", base=base, nf4=nf4_base, out=tmp_path)
    table = parquet.read_frame(tmp_path / "codes.parquet")
    assert table["error"].max() <= np.diff(table["value"]).max() / 2


def test_a_float_model_has_no_codes(base, tmp_path):
    with pytest.raises(UserError, match="no NF4 model"):
        call("codes", base=base, nf4=base, out=tmp_path)
