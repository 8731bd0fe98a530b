"""PyTorch's own rules hold for an accelerated model; the modules compute what it does not know."""

import copy
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from minituner import compute, lora, nf4
from minituner.compute.kernels import linears
from minituner.model import MLP
from tests.compute.test_accelerated import (
    MODELS,
    adapted,
    batch,
    in_double,
    minigpt,
    outcome,
    unknown,
)


def gradients(loss, parameters):
    """By each parameter."""
    return torch.autograd.grad(loss, parameters)


def near(ours, theirs):
    """Whether all tensors are equal within rounding."""
    return all(
        torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-5)
        for one, other in zip(ours, theirs, strict=True)
    )


def shared_A(model):
    attention = model.blocks[0].attn
    attention.v_proj.lora_A = attention.q_proj.lora_A


def shared_weight(model):
    model.blocks[1].mlp.fc1.weight = model.blocks[0].mlp.fc1.weight


def shared_block(model):
    model.blocks[1] = model.blocks[0]


@pytest.mark.parametrize("share", [shared_A, shared_weight, shared_block])
def test_gradients_of_a_parameter_that_is_used_twice_are_added(share):
    model = adapted(2, "q, v").requires_grad_(True)
    share(model)
    assert unknown(model) is None
    parameters = list(model.parameters())
    fast, exact = compute.accelerate(model), in_double(model)
    theirs = gradients(exact.loss(*batch(True)), list(exact.parameters()))
    assert near(gradients(fast.loss(*batch(True)), parameters), theirs)


@pytest.mark.parametrize("name", ["everything", "all, rank 9", "NF4, all"])
def test_any_part_of_a_model_may_be_trained_alone(name):
    """A frozen update lets gradients through; a bias at a block's end needs nothing kept."""
    draw = random.Random(0)
    for drawn in range(60):
        model = MODELS[name]()
        parameters = dict(model.named_parameters())
        for layer in lora.lora_layers(model).values():
            layer.lora_B.data *= 0.05
        chosen = draw.sample(sorted(parameters), draw.choice([1, 2, 3, 6]))
        if drawn == 0:
            chosen = ["blocks.0.mlp.fc2.bias" if name == "everything" else "ln_f.bias"]
        for each, parameter in parameters.items():
            parameter.requires_grad_(each in chosen)
        pair, double = batch(masked=bool(drawn % 2)), in_double(model)
        ours, theirs = outcome(model, pair), outcome(double, pair, by_loops=False)
        for one, other in zip(ours, theirs, strict=True):
            least = 1e-3 * max(1e-3, float(other.abs().max()))
            assert torch.allclose(one.double(), other, rtol=0, atol=least), chosen


@pytest.mark.parametrize("name", ["blocks.0.mlp.fc2.weight", "blocks.1.attn.v_proj.lora_B"])
def test_a_weight_changed_in_place_before_the_backward_pass_is_an_error(name):
    model = adapted(2, "q, v")
    loss = compute.accelerate(model).loss(*batch(True))
    with torch.no_grad():
        model.get_parameter(name).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_codes_changed_in_place_before_the_backward_pass_are_an_error():
    model = adapted(2, "q, v", quantized=True)
    loss = compute.accelerate(model).loss(*batch(True))
    model.blocks[0].mlp.fc2.weight.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


class Wrapper(nn.Module):
    """An accelerated model inside a module."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, targets):
        return compute.accelerate(self.model).loss(ids, targets)


def test_functional_call_computes_with_the_tensors_it_is_given():
    model = minigpt()
    tensors = {f"model.{name}": 2 * p.detach() for name, p in model.named_parameters()}
    inputs = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
    loss = torch.func.functional_call(Wrapper(model), inputs, batch(True))
    doubled = copy.deepcopy(model)
    for parameter in doubled.parameters():
        parameter.data *= 2
    expected = doubled.loss(*batch(True))
    assert near([loss], [expected])
    assert near(
        gradients(loss, list(inputs.values())), gradients(expected, list(doubled.parameters()))
    )


def test_transforms_of_functions_are_left_to_the_modules():
    model = minigpt()
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters()}

    def loss(tensors):
        return torch.func.functional_call(Wrapper(model), tensors, batch(True))

    by_func = torch.func.grad(loss)(tensors)
    expected = gradients(model.loss(*batch(True)), list(model.parameters()))
    assert near(by_func.values(), expected)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_checkpointing_gives_the_same_gradients(dropout):
    model = adapted(2, "q, v", dropout=dropout).train()
    fast, parameters = compute.accelerate(model), lora.trainable_parameters(model)
    torch.manual_seed(0)
    expected = gradients(fast.loss(*batch(True)), parameters)
    torch.manual_seed(0)
    loss = checkpoint(fast.loss, *batch(True), use_reentrant=False)
    assert all(map(torch.equal, gradients(loss, parameters), expected))


def test_threads_give_what_one_thread_gives():
    model, made = adapted(2, "all"), {}
    fast, parameters = compute.accelerate(model), lora.trainable_parameters(model)

    def run(name):
        made[name] = gradients(fast.loss(*batch(True)), parameters)

    threads = [threading.Thread(target=run, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run("alone")
    assert all(all(map(torch.equal, made[name], made["alone"])) for name in range(8))


def test_a_second_derivative_is_refused_in_one_line():
    model = minigpt()
    parameter = model.blocks[0].mlp.fc1.weight
    (first,) = torch.autograd.grad(
        compute.accelerate(model).loss(*batch(True)), parameter, create_graph=True
    )
    with pytest.raises(RuntimeError):
        torch.autograd.grad(first.sum(), parameter)


def test_a_compiled_model_is_computed_by_its_modules():
    model, pair = minigpt(), batch(True)
    compiled = torch.compile(compute.accelerate(model).loss, backend="eager")
    assert near([compiled(*pair)], [model.loss(*pair)])


def test_autocast_is_left_to_the_modules():
    model, pair = minigpt(), batch(True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert unknown(model) == "autocast"
        assert torch.equal(compute.accelerate(model)(pair[0]), model(pair[0]))


def test_hooks_on_all_modules_are_called():
    model, seen = minigpt(), []
    handle = nn.modules.module.register_module_forward_hook(lambda *args: seen.append(args))
    try:
        compute.accelerate(model).loss(*batch(True))
    finally:
        handle.remove()
    assert len(seen) > 10


def relu(self, x):
    return self.fc2(torch.relu(self.fc1(x)))


def test_a_class_or_a_function_that_was_patched_is_what_computes(monkeypatch):
    model, pair = minigpt(), batch(True)
    before = compute.accelerate(model).loss(*pair)
    with monkeypatch.context() as patched:
        patched.setattr(MLP, "forward", relu)
        assert unknown(model) == "MLP.forward was replaced"
        assert not torch.equal(compute.accelerate(model).loss(*pair), before)
    with monkeypatch.context() as patched:
        patched.setattr(F, "gelu", torch.relu)
        assert not torch.equal(compute.accelerate(model).loss(*pair), before)
    assert torch.equal(compute.accelerate(model).loss(*pair), before)


def test_parametrized_weights_are_left_to_the_modules():
    model, pair = minigpt(), batch(True)
    nn.utils.parametrizations.weight_norm(model.blocks[0].mlp.fc1)
    assert "another class" in unknown(model)
    assert torch.equal(compute.accelerate(model).loss(*pair), model.loss(*pair))


def test_why_the_modules_compute_is_said_once(capfd):
    model = minigpt().double()
    fast = compute.accelerate(model)
    fast.loss(*batch(True)), fast.loss(*batch(True))
    told = capfd.readouterr().err
    assert told == "minituner: computed by PyTorch's modules: torch.float64 on cpu\n"


@pytest.mark.parametrize("quantized", [False, True])
def test_dropout_is_the_textbooks_with_zeros_that_the_key_says(quantized, monkeypatch):
    """The textbook's F.dropout is given the zeros that the loops make."""
    model, pair = adapted(2, "all", quantized, dropout=0.4).train(), batch(False)
    pair = tuple(part[:, :6].contiguous() for part in pair)  # each symbol counts, so none is cut
    torch.manual_seed(3)
    fast = compute.accelerate(model)
    loss = fast.loss(*pair)
    made = [loss, *gradients(loss, lora.trainable_parameters(model))]
    torch.manual_seed(3)
    key, double, calls = int(torch.randint(1 << 62, ())), in_double(model), []
    order = ["", "q_proj", "k_proj", "v_proj", "o_proj", "", "fc1", "fc2"]
    keys = [
        key + (index * len(order) + place << 32)
        for index in range(2)
        for place, name in enumerate(order)
        if name
    ]

    def dropout(x, p, training):
        assert (p, training) == (0.4, True)
        ones = torch.ones(x.shape[:-1].numel(), x.shape[-1])
        mask = linears.dropped(ones.numpy(), np.float32(p), np.uint64(keys[len(calls)]))
        calls.append(p)
        return x * torch.from_numpy(mask).view(x.shape)

    monkeypatch.setattr(lora, "F", type("F", (), {"dropout": dropout, "linear": F.linear}))
    expected = double.loss(*pair)
    assert len(calls) == 12
    theirs = [expected, *gradients(expected, lora.trainable_parameters(double))]
    assert near(made, theirs)


def test_dropout_drops_about_its_share_and_keeps_the_mean():
    ones = torch.ones(400, 64).numpy()
    made = linears.dropped(ones, np.float32(0.3), np.uint64(7))
    assert abs((made == 0).mean() - 0.3) < 0.01
    assert abs(made.mean() - 1) < 0.02
    assert {round(value, 5) for value in made.ravel().tolist()} == {0.0, round(1 / 0.7, 5)}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("quantized", [False, True])
def test_models_in_other_dtypes_are_computed_by_the_modules(dtype, quantized):
    model = adapted(2, "q, v", quantized).to(dtype)
    fast, (ids, targets) = compute.accelerate(model), batch(True)
    assert torch.equal(fast(ids), model(ids)) and fast(ids).dtype == dtype
    assert torch.equal(fast.loss(ids, targets), model.loss(ids, targets))
    for module in model.modules():
        if isinstance(module, nf4.NF4Linear):
            assert module.absmax.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_an_update_follows_the_dtype_of_its_input(dtype):
    layer = lora.LoRALinear(nn.Linear(8, 6).to(dtype), r=2)
    assert layer.lora_A.dtype == torch.float32
    y = layer(torch.ones(3, 8, dtype=dtype))
    assert y.dtype == dtype
    y.sum().backward()
    assert layer.lora_B.grad.dtype == torch.float32 and layer.lora_B.grad.abs().sum() > 0


FIRST = {
    "inference mode": "with torch.inference_mode(): nf4.quantize(torch.ones(64, 2))",
    "another default dtype": "torch.set_default_dtype(torch.float16); nf4.code_values(); "
    "nf4.dynamic_map(); torch.set_default_dtype(torch.float32)",
    "another default device": "torch.set_default_device('meta'); nf4.code_values(); "
    "nf4.dynamic_map(); torch.set_default_device('cpu')",
}


@pytest.mark.parametrize("name", FIRST)
def test_nf4_in_half_precision_works_whatever_ran_before(name):
    code = f"""
import minituner, torch
from minituner import nf4
{FIRST[name]}
layer = nf4.NF4Linear.from_linear(torch.nn.Linear(64, 8), double_quant=True).half()
x = torch.ones(2, 64, dtype=torch.float16, requires_grad=True)
layer(x).sum().backward()
print(x.grad.dtype, nf4.code_values().dtype, nf4.code_values().is_inference())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["torch.float16", "torch.float32", "False"], done.stderr


def test_gradients_are_the_slopes_of_the_textbooks_loss_in_double_precision():
    model = adapted(2, "all").requires_grad_(True)
    parameters, double = list(model.parameters()), in_double(model)
    ours = gradients(compute.accelerate(model).loss(*batch(True)), parameters)
    draw = torch.Generator().manual_seed(0)
    for place, grad in enumerate(ours):
        direction = torch.randn(grad.shape, generator=draw, dtype=torch.float64)
        losses = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                moved = copy.deepcopy(double)
                list(moved.parameters())[place].add_(step * direction)
                losses.append(float(moved.loss(*batch(True))))
        slope = (losses[0] - losses[1]) / 2e-6
        assert float((grad.double() * direction).sum()) == pytest.approx(slope, rel=1e-3, abs=2e-5)
