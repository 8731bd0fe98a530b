"""Shapes have the parameters that the published models have, and a wrong one is named."""

import pytest
import torch.nn as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.memory_scaling.decoder import Decoder
from minituner.budget import shapes
from minituner.budget.formula import Regime
from minituner.budget.shapes import PRESETS, Shape
from minituner.foundation.errors import UserError
from minituner.model import MiniGPT, ModelConfig

# Totals of the checkpoints as published, by the sum of their tensors.
PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "tinyllama-1.1b": 1_100_048_384,
    "openllama-3b": 3_426_473_600,
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-33b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "mistral-7b": 7_241_732_096,
    "qwen2.5-7b": 7_615_616_512,
    # Without its pooler, 768² + 768.
    "roberta-base": 124_645_632 - 590_592,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_has_the_published_number_of_parameters(name):
    assert PRESETS[name].total_parameters() == PUBLISHED[name]


def test_gpt3_has_175_billion():
    # Brown et al. 2020, table 2.1, p. 8: "175.0B", rounded.
    assert round(PRESETS["gpt3-175b"].total_parameters() / 1e9) == 175


def test_minigpts_shape_is_its_own():
    config = ModelConfig("x" * 29)
    shape = shapes.of(config)
    assert shape == PRESETS["minigpt"]
    assert shape.total_parameters() == sum(p.numel() for p in MiniGPT(config).parameters())


@settings(deadline=None, max_examples=40)
@given(
    n_layer=st.integers(1, 3),
    head_dim=st.sampled_from([4, 8]),
    groups=st.sampled_from([(4, None), (4, 2), (4, 1), (3, 3)]),
    d_ff=st.integers(1, 40),
    gated=st.booleans(),
    tied=st.booleans(),
    positions=st.sampled_from([0, 7]),
    biases=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    norm=st.sampled_from(["layer", "rms"]),
)
def test_the_formula_is_what_a_model_of_the_shape_holds(
    n_layer, head_dim, groups, d_ff, gated, tied, positions, biases, norm
):
    heads, kv = groups
    shape = Shape(
        n_layer, 24, heads, d_ff, 11, kv, head_dim, gated, tied, positions, *biases, norm
    )  # fmt: skip
    model: nn.Module = Decoder(shape, Regime("full"))
    assert sum(p.numel() for p in model.parameters()) == shape.total_parameters()


def test_a_shape_is_read_from_fields_from_a_preset_or_from_both():
    assert shapes.parse("llama-7b") == PRESETS["llama-7b"]
    text = "n_layer=2,d_model=64,n_head=4,d_ff=256,vocab_size=1_000,gated_mlp=true,norm=rms"
    assert shapes.parse(text) == Shape(2, 64, 4, 256, 1000, gated_mlp=True, norm="rms")
    assert shapes.parse("llama-7b,n_layer=1").n_layer == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("llama7b", "'llama7b' is no preset; did you mean llama-7b?"),
        ("", "is no preset"),
        ("gpt2,layers=3", "'layers' is no field; did you mean n_layer?"),
        ("gpt2,n_layer=many", "n_layer: 'many' is neither an integer nor true/false"),
        ("gpt2,n_layer=0", "n_layer: 0; use an integer ≥ 1"),
        ("gpt2,n_layer=true", "n_layer: True; use an integer"),
        ("gpt2,tied=2", "tied: '2'; use true or false"),
        ("gpt2,norm=batch", "norm: 'batch'; use layer or rms"),
        ("gpt2,n_head=7", "n_head: 7 does not divide d_model 768"),
        ("gpt2,n_kv_head=5", "n_kv_head: 5 does not divide n_head"),
        ("n_layer=2", "d_model, n_head, d_ff, vocab_size: missing; add d_model=…"),
    ],
)
def test_a_wrong_shape_is_named_with_the_remedy(text, message):
    with pytest.raises(UserError) as error:
        shapes.parse(text)
    assert message in str(error.value)
