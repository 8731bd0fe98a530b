"""What holds for every shape: NF4 stays below 16 bits, and nothing shrinks with the rank."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minituner.budget import calculator, formula
from minituner.budget.calculator import Question
from minituner.budget.formula import BUCKETS, Regime
from minituner.budget.shapes import Shape
from minituner.foundation.errors import UserError
from minituner.nf4 import BLOCKSIZES
from minituner.workflow.cli import main


@st.composite
def shapes(draw):
    """Any shape whose layers are at least 8 wide."""
    n_kv_head, head_dim = draw(st.integers(1, 4)), draw(st.sampled_from([8, 16, 64, 100]))
    n_head = n_kv_head * draw(st.integers(1, 4))
    d_model = draw(st.one_of(st.just(n_head * head_dim), st.integers(8, 300).map(lambda n: 2 * n)))
    gated = draw(st.booleans())
    return Shape(
        n_layer=draw(st.integers(1, 5)),
        d_model=d_model,
        n_head=n_head,
        d_ff=draw(st.integers(8, 900)),
        vocab_size=draw(st.integers(1, 1000)),
        n_kv_head=n_kv_head,
        head_dim=head_dim,
        gated_mlp=gated,
        positions=draw(st.integers(0, 100)),
        norm=draw(st.sampled_from(["layer", "rms"])),
        norms=draw(st.sampled_from([1, 2, 4])),
        fused_qkv=draw(st.booleans()),
        fused_mlp=gated and draw(st.booleans()),
        **{
            name: draw(st.booleans())
            for name in (
                "tied",
                "attention_bias",
                "output_bias",
                "mlp_bias",
                "qk_norm",
                "head_bias",
            )
        },
    )


@st.composite
def targets(draw, shape):
    """Some Linears of a shape's blocks."""
    names = list(shape.linears())
    return tuple(draw(st.lists(st.sampled_from(names), min_size=1, unique=True)))


@settings(deadline=None, max_examples=200)
@given(st.data(), st.sampled_from(BLOCKSIZES), st.booleans(), st.integers(1, 8))
def test_nf4_is_never_larger_than_16_bits(data, blocksize, double_quant, rank):
    shape = data.draw(shapes())
    for out, into in shape.linears().values():
        assert formula.nf4_bytes(out * into, blocksize, double_quant) < 2 * out * into
    chosen = data.draw(targets(shape))
    lora = formula.weights_bytes(shape, Regime("lora", rank, chosen), each=2)
    scheme = Regime("qlora", rank, chosen, blocksize, double_quant)
    assert formula.weights_bytes(shape, scheme, each=2) < lora


@pytest.mark.parametrize("double_quant", [False, True])
def test_a_larger_block_takes_fewer_bits_and_all_take_less_than_six(double_quant):
    bits = [calculator.bits_a_parameter(blocksize, double_quant) for blocksize in BLOCKSIZES]
    assert bits == sorted(bits, reverse=True) and 4 < bits[-1] < bits[0] < 6


@settings(deadline=None, max_examples=200)
@given(st.data(), st.sampled_from(["lora", "qlora"]), st.sampled_from([2, 4]), st.integers(0, 300))
def test_everything_grows_with_the_rank(data, method, each, symbols):
    shape = data.draw(shapes())
    chosen = data.draw(targets(shape))
    widest = min(min(shape.linears()[name]) for name in chosen)
    ranks = sorted(data.draw(st.lists(st.integers(1, widest), min_size=2, max_size=4, unique=True)))
    symbols = symbols if shape.usual else 0
    rows = [formula.count(shape, Regime(method, r, chosen), symbols, each) for r in ranks]
    files = [
        formula.safetensors_bytes(calculator.adapter_tensors(shape, rank, chosen), each)
        for rank in ranks
    ]
    assert files == sorted(set(files))
    for name in ("trainable_parameters", "total_parameters", "trainable_percent", "total_bytes"):
        values = [row[name] for row in rows]
        assert values == sorted(set(values)), name
    for bucket in BUCKETS:
        values = [row[f"{bucket}_bytes"] for row in rows]
        assert values == sorted(values), bucket


@pytest.mark.parametrize("blocksize", [1, 8, 16, 48, 63, 8192])
def test_a_blocksize_that_nf4_does_not_have_is_refused(blocksize, capsys):
    with pytest.raises(UserError, match=rf"--blocksize: {blocksize}: use one of \(32, 64, 128"):
        calculator.rows(Question("llama-7b", blocksize=blocksize))
    assert main(["counts", "--shape", "gpt2", "--blocksize", str(blocksize)]) == 2
    assert "--blocksize" in capsys.readouterr().err
