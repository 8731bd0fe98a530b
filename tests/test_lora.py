"""LoRA is the paper's: identity at the start, low rank, a frozen base, and nothing wrong loaded."""

import pytest
import torch
import torch.nn as nn

from minituner import compute, lora, nf4, train
from minituner.foundation.errors import UserError
from minituner.lora import LoRALinear, load_lora_state_dict, lora_state_dict, wrap_minigpt_with_lora
from minituner.model import MiniGPT

TARGETS = ("q_proj", "v_proj")


def ids():
    return torch.randint(0, 20, (4, 12), generator=torch.Generator().manual_seed(0))


def trained(model, steps=5, **options):
    """A wrapped model after some steps on made targets."""
    wrap_minigpt_with_lora(model, generator=compute.generator(0, "a"), **options)
    settings = {"steps": steps, "learning_rate": 1e-2, "warmup": 1, "eval_every": 100}
    batch = (ids(), ids().roll(1, 1))
    train.fit(model, iter([batch] * steps), [batch], settings)
    return model


def test_a_fresh_wrap_changes_no_output_by_a_bit(model):
    before = model(ids())
    wrap_minigpt_with_lora(model, r=4)
    assert torch.equal(model(ids()), before)


def test_gradients_reach_a_and_b_only(model):
    wrap_minigpt_with_lora(model, r=4)
    model(ids()).sum().backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient
    assert all(name.rsplit(".", 1)[1] in ("lora_A", "lora_B") for name in with_gradient)
    assert len(with_gradient) == 2 * 2 * len(TARGETS)


@pytest.mark.parametrize("rank", [1, 3])
def test_the_update_has_at_most_its_rank_and_the_stated_scale(model, rank):
    trained(model, r=rank, alpha=6.0)
    for layer in lora.lora_layers(model).values():
        delta = layer.delta_weight()
        assert torch.linalg.matrix_rank(delta) <= rank
        assert torch.allclose(delta, 6.0 / rank * layer.lora_B @ layer.lora_A)
        assert delta.abs().max() > 0


def test_the_base_is_frozen_bit_for_bit(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained(model, r=4)
    after = {k.replace(".base.", "."): v for k, v in model.state_dict().items() if "lora_" not in k}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_layer_computes_the_papers_formula():
    base = nn.Linear(5, 7)
    layer = LoRALinear(base, r=2, alpha=3.0)
    nn.init.normal_(layer.lora_B)
    x = torch.randn(4, 5)
    expected = x @ (base.weight + 1.5 * layer.lora_B @ layer.lora_A).T + base.bias
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_merging_keeps_the_outputs_and_unmerging_the_weights(model):
    trained(model, r=4)
    layers = lora.lora_layers(model).values()
    before = model(ids())
    weights = [layer.base.weight.clone() for layer in layers]
    for layer in layers:
        layer.merge_().merge_()  # twice must not add twice
    assert torch.allclose(model(ids()), before, atol=1e-5)
    for layer, weight in zip(layers, weights, strict=True):
        assert not torch.equal(layer.base.weight, weight)
        layer.unmerge_().unmerge_()
        assert torch.allclose(layer.base.weight, weight, atol=1e-6)
    assert torch.allclose(model(ids()), before, atol=1e-5)


def test_merging_into_four_bits_is_refused_with_the_reason():
    layer = LoRALinear(nf4.NF4Linear.from_linear(nn.Linear(64, 8)), r=2)
    with pytest.raises(UserError, match="4 bits and rounding it again would lose the update"):
        layer.merge_()


def test_dropout_acts_in_training_only():
    layer = LoRALinear(nn.Linear(64, 8), r=4, dropout=0.5)
    nn.init.normal_(layer.lora_B)
    x = torch.randn(3, 64)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"r": 0}, "rank 0 is outside 1 … 8"),
        ({"r": 9}, "rank 9 is outside 1 … 8"),
        ({"alpha": 0.0}, "alpha 0.0 is not a positive number"),
        ({"alpha": float("nan")}, "alpha nan"),
        ({"dropout": 1.0}, "dropout 1.0"),
    ],
)
def test_a_meaningless_setting_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LoRALinear(nn.Linear(64, 8), **arguments)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["q_proj"], ["blocks.0.attn.q_proj", "blocks.1.attn.q_proj"]),
        (["attn.q_proj", "q_proj"], ["blocks.0.attn.q_proj", "blocks.1.attn.q_proj"]),
        (["mlp.fc2"], ["blocks.0.mlp.fc2", "blocks.1.mlp.fc2"]),
        (r".*\.1\.attn\.[qv]_proj", ["blocks.1.attn.q_proj", "blocks.1.attn.v_proj"]),
        (
            ("q_proj", "fc1"),
            [f"blocks.{i}.{name}" for i in (0, 1) for name in ("attn.q_proj", "mlp.fc1")],
        ),
    ],
)
def test_targets_are_chosen_by_ending_or_by_regex(model, targets, expected):
    assert lora.matching_linears(model, targets) == expected


@pytest.mark.parametrize("targets", ["all-linear", "All-Linear"])
def test_all_linear_is_every_linear_and_nothing_else(model, targets):
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    assert lora.matching_linears(model, targets) == names and len(names) == 12
    wrap_minigpt_with_lora(model, r=2, target_modules=targets)
    assert list(lora.lora_layers(model)) == names


def test_all_linear_of_a_model_without_linears_is_an_error():
    with pytest.raises(UserError, match="'all-linear' matches no Linear"):
        wrap_minigpt_with_lora(nn.Sequential(nn.GELU()), target_modules="all-linear")


@pytest.mark.parametrize("targets", [["query"], ["q_proj", "query"], ["proj"], r".*query", [], "("])
def test_a_target_that_matches_nothing_is_an_error(model, targets):
    with pytest.raises(UserError, match="target_modules"):
        lora.matching_linears(model, targets)


def test_the_error_lists_the_candidates(model):
    with pytest.raises(UserError, match=r"attn\.q_proj.*mlp\.fc1, mlp\.fc2"):
        wrap_minigpt_with_lora(model, target_modules=["query"])


def test_wrapping_twice_is_refused(model):
    wrap_minigpt_with_lora(model)
    with pytest.raises(UserError, match="carries LoRA layers already"):
        wrap_minigpt_with_lora(model)


def test_equal_generators_give_equal_adapters_whatever_was_drawn_before(config):
    states = []
    for _ in range(2):
        torch.rand(5)
        model = wrap_minigpt_with_lora(MiniGPT(config), generator=compute.generator(0, "a"))
        states.append(lora_state_dict(model))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_adapter_round_trips(model, config):
    trained(model, r=4)
    state = {name: tensor.clone() for name, tensor in lora_state_dict(model).items()}
    other = MiniGPT(config, compute.generator(0, "test"))
    load_lora_state_dict(wrap_minigpt_with_lora(other, r=4), state)
    model.eval()
    assert torch.equal(other(ids()), model(ids()))


def _drop(state):
    return {k: v for i, (k, v) in enumerate(state.items()) if i}


def _add(state):
    return state | {"base_model.model.blocks.0.attn.k_proj.lora_A.weight": torch.zeros(4, 16)}


def _reshape(state):
    return {k: v[:2] if "lora_A" in k else v for k, v in state.items()}


def _poison(state):
    return {
        k: v.clone().fill_(float("nan")) if i == 1 else v for i, (k, v) in enumerate(state.items())
    }


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_drop, "missing"),
        (_add, "k_proj.lora_A.weight: superfluous"),
        (_reshape, r"shape \(2, 16\), expected \(4, 16\)"),
        (_poison, "holds NaN or infinity"),
    ],
)
def test_a_wrong_tensor_is_named_and_nothing_is_loaded(model, spoil, message):
    wrap_minigpt_with_lora(model, r=4)
    before = {name: tensor.clone() for name, tensor in lora_state_dict(model).items()}
    with pytest.raises(UserError, match=message):
        load_lora_state_dict(model, spoil(dict(before)))
    assert all(torch.equal(before[k], v) for k, v in lora_state_dict(model).items())


def merged(model):
    """A wrapped model whose updates do something and are merged."""
    wrap_minigpt_with_lora(model, r=2)
    for layer in lora.lora_layers(model).values():
        nn.init.normal_(layer.lora_B)
        layer.merge_()
    return model


def test_a_merged_layer_has_no_state_to_save_or_load(model):
    state = lora_state_dict(merged(model))
    with pytest.raises(UserError, match="unmerge_"):
        model.state_dict()
    with pytest.raises(UserError, match="unmerge_"):
        load_lora_state_dict(model, state)
    for layer in lora.lora_layers(model).values():
        layer.unmerge_()
    names = model.state_dict()
    merged_layer = lora.lora_layers(model)["blocks.0.attn.q_proj"].merge_()
    with pytest.raises(UserError, match="unmerge_"):
        model.load_state_dict(names)
    assert merged_layer.merged


def test_unmerging_takes_out_what_was_merged_whatever_became_of_the_update(config):
    model = MiniGPT(config, compute.generator(0, "test"))
    before = model.blocks[0].attn.q_proj.weight.detach().clone()
    layer = lora.lora_layers(merged(model))["blocks.0.attn.q_proj"]
    assert not torch.allclose(layer.base.weight, before, atol=1e-3)
    nn.init.normal_(layer.lora_A)
    assert torch.allclose(layer.unmerge_().base.weight, before, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"r": 17}, {"alpha": -1.0}, {"dropout": 1.0}, {"target_modules": ["q_proj", "nope"]}],
)
def test_a_wrap_that_fails_leaves_the_model_as_it_was(model, options):
    names, modules = list(model.state_dict()), list(model.modules())
    wrapping = {"target_modules": ["q_proj", "mlp.fc1"]} | options
    with pytest.raises((ValueError, UserError)):
        wrap_minigpt_with_lora(model, **wrapping)
    assert (list(model.state_dict()), list(model.modules())) == (names, modules)
    assert all(parameter.requires_grad for parameter in model.parameters())
