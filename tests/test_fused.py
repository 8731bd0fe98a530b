"""The compiled sublayers make the bytes of the modules, and leave to them what is theirs."""

import pytest
import torch
import torch.nn as nn

from minituner import data, lora, nf4, qlora, train
from minituner.compute import fused, numerics
from minituner.model import MiniGPT, ModelConfig

TARGETS = {
    "q, v": ["q_proj", "v_proj"],
    "all": ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"],
    "o": ["o_proj"],
    "fc2": ["fc2"],
}
TEXTS = ["go: she went.", "eat: yesterday he ate it.", "be: I am."]


def minigpt(d_model: int = 20) -> MiniGPT:
    """A model whose sides are no multiples of a vector."""
    config = ModelConfig(data.vocabulary(TEXTS), 2, 2, d_model, 3 * d_model, 32)
    return MiniGPT(config, numerics.generator(0, "fused"))


def adapted(rank: int, targets: str, quantized: bool = False, dropout: float = 0.0) -> MiniGPT:
    """With an adapter whose B is not zero."""
    torch.manual_seed(0)
    wrap = qlora.wrap_minigpt_qlora if quantized else lora.wrap_minigpt_with_lora
    model = wrap(minigpt(), rank, 8.0, target_modules=TARGETS[targets], dropout=dropout)
    for layer in lora.lora_layers(model).values():
        nn.init.normal_(layer.lora_B)
    return model


def partly_frozen() -> MiniGPT:
    """Where only some of each kind are trained."""
    model = minigpt()
    for name, parameter in model.named_parameters():
        kept = ("k_proj.weight", "fc1.bias", "ln2.weight", "1.ln1.bias", "1.mlp.fc2.weight")
        parameter.requires_grad_(name.endswith(kept))
    return model


MODELS = {
    "everything": minigpt,
    "partly": partly_frozen,
    "q, v": lambda: adapted(2, "q, v"),
    "all, rank 1": lambda: adapted(1, "all"),
    "all, rank 9": lambda: adapted(9, "all"),
    "o": lambda: adapted(3, "o"),
    "fc2": lambda: adapted(3, "fc2"),
    "NF4": lambda: adapted(2, "q, v", quantized=True),
    "NF4, all": lambda: adapted(2, "all", quantized=True),
}


def batch(masked: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Sentences whose loss is on the last symbols alone, or on all."""
    return data.batch(TEXTS, data.vocabulary(TEXTS), [3, 5, 2] if masked else None)


def outcome(model: MiniGPT, batch: tuple) -> list[torch.Tensor]:
    """The loss and each gradient."""
    loss = train.loss_on(model.train(), *batch)
    return [loss.detach(), *torch.autograd.grad(loss, lora.trainable_parameters(model))]


def by_modules(monkeypatch) -> None:
    """From here on."""
    monkeypatch.setattr(fused, "compute", lambda *_: None)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_the_modules_bytes(name, masked, monkeypatch):
    model, given = MODELS[name](), batch(masked)
    calls = []
    compute = fused.compute
    monkeypatch.setattr(fused, "compute", lambda *args: calls.append(compute(*args)) or calls[-1])
    ours = outcome(model, given)
    assert len(calls) == 4 and None not in [None if c is None else 1 for c in calls]
    by_modules(monkeypatch)
    for one, other in zip(ours, outcome(model, given), strict=True):
        assert torch.equal(one, other)
        assert one.abs().sum() > 0


@pytest.mark.parametrize("name", ["everything", "NF4, all"])
def test_scores_are_the_modules_bytes(name, monkeypatch):
    model, (ids, _) = MODELS[name]().eval(), batch(False)
    with torch.no_grad():
        ours = model(ids)
        by_modules(monkeypatch)
        assert torch.equal(ours, model(ids))


def test_dropout_merging_and_hooks_are_seen(monkeypatch):
    model, given = adapted(2, "q, v", dropout=0.5), batch(True)

    def loss() -> torch.Tensor:
        torch.manual_seed(0)
        return train.loss_on(model, *given).detach()

    dropped, kept = loss(), model.eval() and loss()
    assert dropped != kept
    for layer in lora.lora_layers(model).values():
        layer.merge_()
    assert torch.allclose(loss(), kept, atol=1e-5)
    seen = []
    model.blocks[0].mlp.fc1.register_forward_hook(lambda *args: seen.append(args))
    model.blocks[1].attn.q_proj.base.register_forward_hook(lambda *args: seen.append(args))
    before = loss()
    assert len(seen) == 2
    by_modules(monkeypatch)
    assert loss() == before


def test_no_float_copy_of_an_nf4_weight_is_kept():
    model, saved = adapted(2, "q, v", quantized=True).train(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        train.loss_on(model, *batch(True))
    packed = [m for m in model.modules() if isinstance(m, nf4.NF4Linear)]
    assert saved and len(packed) == 12
    for weight in (layer.dequantized() for layer in packed):
        assert not any(torch.equal(tensor, weight) for tensor in saved)
