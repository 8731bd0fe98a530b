"""Both sides of the benchmarks compute the same model and take the same steps."""

import pytest
import torch

from benchmarks.performance import ROWS, ours, peers
from benchmarks.performance.plain import PlainGPT, with_low_rank
from minituner import compute
from minituner.lora import wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from tests.support.sentences import VOCAB

NAMES = {"tok_emb": "wte", "pos_emb": "wpe", "blocks": "h", "ln1": "ln_1", "ln2": "ln_2"}
STEPS = 20


@pytest.fixture
def config():
    """Four times as wide inside the MLP, as the plain GPT is."""
    return ModelConfig(vocab=VOCAB, n_layer=2, n_head=2, d_model=16, d_ff=64, context=64)


@pytest.fixture
def model(config):
    """A MiniGPT of that shape."""
    return MiniGPT(config, compute.generator(0, "test"))


@pytest.fixture
def plain(config, model):
    """A plain GPT with the model's weights."""
    twin = PlainGPT(
        config.vocab_size, config.context, config.n_layer, config.n_head, config.d_model
    )
    state = {}
    for name, tensor in model.state_dict().items():
        parts = [part for part in name.split(".") if part not in ("attn", "mlp")]
        state[".".join(NAMES.get(part, part) for part in parts)] = tensor.clone()
    twin.load_state_dict(state)
    return twin


@pytest.fixture
def pairs(config):
    """Ids and targets of some batches."""
    draw = compute.generator(0, "test", "performance")
    shape = (STEPS, 4, 13)
    ids = torch.randint(config.vocab_size, shape, generator=draw)
    return [(batch[:, :-1], batch[:, 1:].clone()) for batch in ids]


def losses(step, model, loss, pairs):
    """The loss at each batch before its step."""
    values = []
    for pair in pairs:
        with torch.no_grad():
            values.append(float(loss(model, *pair)))
        step()
    return values


@pytest.mark.parametrize("adapted", [False, True])
def test_a_plain_loop_and_ours_learn_the_same_in_the_same_steps(model, plain, pairs, adapted):
    """So what a step costs is what the same calibration costs."""
    if adapted:
        names = ["q_proj", "v_proj"]
        wrap_minigpt_with_lora(model, 4, 8.0, names)
        with_low_rank(plain, 4, 8.0, names)
        for block, twin in zip(model.blocks, plain.h, strict=True):
            for name in names:
                getattr(twin, name).A.data.copy_(getattr(block.attn, name).lora_A)
    mine = losses(ours.step(model, iter(pairs)), model, lambda m, *pair: m.loss(*pair), pairs)
    theirs = losses(peers.step(plain, False, iter(pairs)), plain, peers.loss, pairs)
    assert mine[-1] != pytest.approx(mine[0], abs=1e-3)
    assert mine == pytest.approx(theirs, abs=1e-4)


def test_each_row_names_two_functions_and_where_it_is_measured():
    for row in ROWS:
        assert hasattr(ours, row.ours)
        assert hasattr(ours, row.theirs) or hasattr(peers, row.theirs)
    assert len({(row.what, row.against) for row in ROWS}) == len(ROWS)
