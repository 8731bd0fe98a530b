"""An accelerated model is the textbook's within rounding, and keeps PyTorch's own rules."""

import copy
import pickle

import pytest
import torch
import torch.nn as nn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minituner import compute, data, evaluate, lora, nf4, qlora, train
from minituner.compute import accelerated, known, step
from minituner.compute.sequences import Packed, pack
from minituner.foundation.errors import UserError
from minituner.model import IGNORE, MLP, MiniGPT, ModelConfig
from tests.support.runs import TUNING

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]
TARGETS = {"q, v": ["q_proj", "v_proj"], "all": LINEARS, "o": ["o_proj"], "fc2": ["fc2"]}
TEXTS = ["go: she went.", "eat: yesterday he ate it.", "be: I am."]


def minigpt(d_model: int = 20) -> MiniGPT:
    """A model whose sides are no multiples of a vector."""
    config = ModelConfig(data.vocabulary(TEXTS), 2, 2, d_model, 3 * d_model, 32)
    return MiniGPT(config, compute.generator(0, "fused"))


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
    trained = ("k_proj.weight", "fc1.bias", "ln2.weight", "1.ln1.bias", "1.mlp.fc2.weight")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith(trained))
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


def unknown(model: nn.Module) -> str | None:
    """Why the loops cannot compute a model."""
    try:
        known.check_surroundings()
        known.Numbers(model)
    except known.Unknown as reason:
        return str(reason)


def logits(model: MiniGPT, packed: Packed) -> torch.Tensor:
    """Of packed sequences, (n, V)."""
    return step.run(known.Numbers(model), step.Batch(packed))


def outcome(model: MiniGPT, pair: tuple, by_loops: bool = True) -> list[torch.Tensor]:
    """The loss and each gradient."""
    trained = compute.accelerate(model.train()) if by_loops else model.train()
    loss = trained.loss(*pair)
    return [loss.detach(), *torch.autograd.grad(loss, lora.trainable_parameters(model))]


def within_rounding(ours: list, others: list[list], exact: list) -> bool:
    """Whether numbers in float32 are about as near to those in double precision as others are.

    The others are the textbook's in float32, and those in double precision of a model whose
    parameters are rounded: where that alone moves a result, no order of sums can be nearer. Their
    error is the worst of all tensors, each against its own largest number.
    """
    largest = [float(tensor.abs().max()) for tensor in exact]
    least = 2e-6 * max(largest)

    def distance(one: torch.Tensor, other: torch.Tensor) -> float:
        assert one.shape == other.shape
        return float((one.double() - other).abs().max())

    worst = max(
        distance(other, true) / size
        for tensors in others
        for other, true, size in zip(tensors, exact, largest, strict=True)
        if size > least
    )
    return all(
        distance(one, true) <= 5 * worst * size + least
        for one, true, size in zip(ours, exact, largest, strict=True)
    )


def shaken(double: MiniGPT) -> MiniGPT:
    """A copy whose parameters are off by about a unit in the last place of float32."""
    copied, draw = copy.deepcopy(double), torch.Generator().manual_seed(0)
    for parameter in copied.parameters():
        noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        parameter.data *= 1 + 2**-23 * noise
    return copied


def in_double(model: MiniGPT) -> MiniGPT:
    """A copy that computes in double precision."""
    return copy.deepcopy(model).double()


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_the_textbooks(name, masked):
    model, pair = MODELS[name](), batch(masked)
    double = in_double(model)
    exact, moved, textbooks = (
        outcome(each, pair, by_loops=False) for each in (double, shaken(double), model)
    )
    assert within_rounding(outcome(model, pair), [textbooks, moved], exact)


@pytest.mark.parametrize("masked", ["behind", "scattered", "nothing"])
def test_skipping_what_no_target_needs_changes_no_loss_and_no_gradient(model, masked):
    ids = torch.randint(0, 20, (3, 12), generator=torch.Generator().manual_seed(0))
    targets = ids.roll(-1, 1)
    if masked != "nothing":
        targets[:, 9:] = targets[0, 4:] = IGNORE
    if masked == "scattered":
        targets[:, ::2] = targets[2] = IGNORE
    model.requires_grad_(True)
    fast = compute.accelerate(model)
    gradients = []
    whole = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    for loss in (whole, model.loss(ids, targets), fast.loss(ids, targets)):
        model.zero_grad()
        loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
        assert torch.allclose(loss, whole, atol=1e-6)
    for one, *others in zip(*gradients, strict=True):
        assert all(torch.allclose(one, other, atol=1e-6) for other in others)


def test_a_sequence_gives_the_same_in_any_company(model):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, model.config.vocab_size, (5, 30), generator=generator)
    lengths = torch.tensor([30, 3, 17, 24, 1])
    fast = compute.accelerate(model)
    together = logits(model, pack(ids, lengths))[: int(lengths.sum())]
    alone = [fast(row[None, :n])[0] for row, n in zip(ids, lengths.tolist(), strict=True)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_packed_sequences_have_the_logits_that_torch_gives_in_double_precision(model):
    ids = torch.randint(0, model.config.vocab_size, (3, 12))
    packed = pack(ids, torch.tensor([12, 5, 8]))
    ours = logits(model, packed)
    expected = compute.accelerate(in_double(model))(ids)
    assert expected.dtype == torch.float64
    assert torch.allclose(ours[packed.reads[packed.own]].double(), expected[packed.own], atol=1e-5)


def test_dropout_merging_and_hooks_are_seen():
    model, pair = adapted(2, "q, v", dropout=0.5), batch(True)
    fast = compute.accelerate(model)

    def loss() -> torch.Tensor:
        torch.manual_seed(0)
        return fast.loss(*pair).detach()

    dropped, without = loss(), model.eval() and loss()
    assert dropped != without
    for layer in lora.lora_layers(model).values():
        layer.merge_()
    merged = loss()
    assert torch.allclose(merged, without, atol=1e-5)
    seen = []
    model.blocks[0].mlp.fc1.register_forward_hook(lambda *args: seen.append(args))
    model.blocks[1].attn.q_proj.base.register_forward_hook(lambda *args: seen.append(args))
    before = loss()
    assert len(seen) == 2
    assert torch.allclose(before, merged, atol=1e-6)


def test_no_float_copy_of_an_nf4_weight_is_kept():
    model, saved = adapted(2, "q, v", quantized=True).train(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        compute.accelerate(model).loss(*batch(True))
    packed = [m for m in model.modules() if isinstance(m, nf4.NF4Linear)]
    assert saved and len(packed) == 12
    for weight in (layer.dequantized() for layer in packed):
        assert not any(torch.equal(tensor, weight) for tensor in saved)


SHAPES = st.fixed_dictionaries(
    {
        "n_layer": st.integers(1, 3),
        "n_head": st.integers(1, 4),
        "head_width": st.integers(1, 19),
        "d_ff": st.integers(1, 90),
        "context": st.integers(2, 70),
        "symbols": st.integers(2, 40),
    }
)
ADAPTERS = st.fixed_dictionaries(
    {
        "rank": st.sampled_from([None, 1, 2, 3, 8, 17]),
        "targets": st.lists(st.sampled_from(LINEARS), min_size=1, unique=True),
        "scheme": st.sampled_from([None, "nf4_per_group_64", "nf4_per_group_128_double"]),
    }
)
WIDE = {
    "n_layer": 2,
    "n_head": 2,
    "head_width": 136,
    "d_ff": 320,
    "context": 20,
    "symbols": 9,
}


def drawn_model(shape: dict, adapter: dict, generator: torch.Generator) -> MiniGPT:
    """A model of that shape, none of whose numbers is zero or one."""
    vocab = data.BOUNDARY + "".join(chr(ord("a") + i) for i in range(shape["symbols"] - 1))
    d_model = shape["n_head"] * shape["head_width"]
    sizes = shape["n_layer"], shape["n_head"], d_model, shape["d_ff"], shape["context"]
    model = MiniGPT(ModelConfig(vocab, *sizes), generator)

    def move_parameters() -> None:
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)

    move_parameters()
    options = {"r": min(adapter["rank"] or 1, d_model, shape["d_ff"]), "generator": generator}
    options |= {"alpha": 3.0, "target_modules": adapter["targets"]}
    if adapter["scheme"]:
        qlora.wrap_minigpt_qlora(model, quant_scheme=adapter["scheme"], **options)
    elif adapter["rank"]:
        lora.wrap_minigpt_with_lora(model, **options)
    for layer in lora.lora_layers(model).values():
        layer.lora_B.data += 0.2 * torch.randn(layer.lora_B.shape, generator=generator)
    return model


def drawn_batch(model: MiniGPT, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences of different lengths, of which the loss sees a piece, here and there, or all."""

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    B, T = draw(1, 5), draw(1, model.config.context)
    ids = torch.randint(model.config.vocab_size, (B, T), generator=generator)
    targets = torch.randint(model.config.vocab_size, (B, T), generator=generator)
    if draw(0, 3):
        places = torch.arange(T)
        for row in targets:
            first, last = sorted((draw(0, T), draw(0, T)))
            row[(places < first) | (places >= last)] = IGNORE
        if draw(0, 1):
            targets[torch.rand(B, T, generator=generator) < 0.5] = IGNORE
        targets[0, draw(0, T - 1)] = 0  # a mean over nothing is no number
    return ids, targets


def drawn_texts(model: MiniGPT, generator: torch.Generator) -> tuple[list[str], list[str]]:
    """Prompts and forms, some of them rivals behind a beginning that they share."""
    letters, context = model.config.vocab[1:], model.config.context

    def draw(longest: int, shortest: int = 0) -> str:
        n = int(torch.randint(shortest, longest + 1, (), generator=generator))
        return "".join(letters[i] for i in torch.randint(len(letters), (n,), generator=generator))

    prompts, forms = [], []
    for _ in range(3):
        prompt = draw(context - 1)
        form = draw(context - len(prompt), 1)
        rivals = [draw(context - len(prompt), 1) for _ in range(2)]
        prompts += ["", prompt, prompt]
        forms += [prompt + form, *rivals]
    return prompts, forms


@settings(deadline=None, max_examples=60, derandomize=True)
@example(WIDE, {"rank": None, "targets": ["fc1"], "scheme": None}, 0)
@example(WIDE, {"rank": 3, "targets": LINEARS, "scheme": None}, 1)
@example(WIDE, {"rank": 8, "targets": LINEARS, "scheme": "nf4_per_group_64"}, 2)
@given(shape=SHAPES, adapter=ADAPTERS, seed=st.integers(0, 1000))
def test_a_model_of_any_shape_is_the_textbooks_within_rounding(shape, adapter, seed):
    generator = torch.Generator().manual_seed(seed)
    model = drawn_model(shape, adapter, generator)
    fast, double = compute.accelerate(model), in_double(model)
    moved = shaken(double)
    assert unknown(model) is None
    for _ in range(2):
        ids, targets = pair = drawn_batch(model, generator)
        exact, rounded, textbooks = (
            outcome(each, pair, by_loops=False) for each in (double, moved, model)
        )
        assert within_rounding(outcome(model, pair), [textbooks, rounded], exact)
        with torch.no_grad():
            assert within_rounding([fast(ids)], [[model(ids)], [moved(ids)]], [double(ids)])
    texts = drawn_texts(model, generator)
    log_probs, likeliest = fast.score(*texts)
    textbooks, expected_likeliest = evaluate.score(model, *texts)
    assert log_probs.dtype == torch.float64
    rounded, exact = (evaluate.score(each, *texts)[0] for each in (moved, double))
    assert within_rounding([log_probs], [[textbooks], [rounded]], [exact])
    assert torch.equal(likeliest, expected_likeliest)


def test_a_form_that_goes_on_where_a_whole_text_ends_is_scored_as_if_alone():
    fast = compute.accelerate(minigpt())
    texts = ["go: ", "go: ", "go: "], ["we", "went", "wen"]
    log_probs, likeliest = fast.score(*texts)
    expected, expected_likeliest = evaluate.score(fast.model, *texts)
    assert torch.allclose(log_probs, expected, atol=1e-5)
    assert torch.equal(likeliest, expected_likeliest)


def test_a_model_is_left_as_it_was():
    model, (ids, targets) = adapted(2, "all"), batch(True)
    names, attributes = (
        list(model.state_dict()),
        {n: set(vars(m)) for n, m in model.named_modules()},
    )
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = compute.accelerate(model)
    fast.loss(ids, targets).backward()
    fast(ids), fast.score(["go: "], ["went"])
    assert list(model.state_dict()) == list(fast.state_dict()) == names
    for name, module in model.named_modules():
        assert set(vars(module)) == attributes[name]
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())
    assert list(fast.parameters()) == list(model.parameters())
    assert (fast.config, fast.training) == (model.config, model.training)


@pytest.mark.parametrize("name", ["everything", "NF4, all"])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_and_pickles_of_a_model_that_was_computed_are_models_of_their_own(name, duplicate):
    model, (ids, targets) = MODELS[name](), batch(True)
    fast = compute.accelerate(model)
    expected, logits = fast.loss(ids, targets), model(ids)
    other, other_fast = duplicate(model), duplicate(fast)
    assert torch.equal(other(ids), logits) and torch.equal(other_fast.model(ids), logits)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(compute.accelerate(other).loss(ids, targets), expected)
    assert torch.equal(other_fast.loss(ids, targets), expected)
    assert fast.loss(ids, targets) != expected


class OtherMLP(MLP):
    """Twice the textbook's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class OtherLinear(nn.Linear):
    """Twice the textbook's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def with_forward_hook() -> MiniGPT:
    model = minigpt()
    model.blocks[1].mlp.fc2.register_forward_hook(lambda module, inputs, output: 2 * output)
    return model


def with_forward_pre_hook() -> MiniGPT:
    model = minigpt()
    model.blocks[0].ln1.register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))
    return model


def with_backward_hook() -> MiniGPT:
    model = minigpt()
    model.blocks[0].attn.register_full_backward_hook(lambda module, by_in, by_out: (2 * by_in[0],))
    return model


def with_other_mlp() -> MiniGPT:
    model = minigpt()
    model.blocks[0].mlp.__class__ = OtherMLP
    return model


def with_other_linear() -> MiniGPT:
    model = minigpt()
    model.blocks[1].attn.q_proj.__class__ = OtherLinear
    return model


def with_other_heads() -> MiniGPT:
    model = minigpt()
    model.blocks[1].attn.n_head *= 2
    return model


def without_blocks() -> MiniGPT:
    model = minigpt()
    model.blocks = nn.ModuleList()
    return model


def with_norm_without_bias() -> MiniGPT:
    model = minigpt()
    model.blocks[1].ln2.bias = None
    return model


OTHERS = {
    "heads of another number": (with_other_heads, "blocks with different numbers of heads"),
    "no blocks": (without_blocks, "a model without blocks"),
    "a norm without a bias": (with_norm_without_bias, "a norm without weight or bias"),
    "a forward hook": (with_forward_hook, "has hooks"),
    "a hook before forward": (with_forward_pre_hook, "has hooks"),
    "a backward hook": (with_backward_hook, "has hooks"),
    "another MLP": (with_other_mlp, "OtherMLP: a module of another class"),
    "another Linear": (with_other_linear, "OtherLinear: a module of another class"),
    "double precision": (lambda: minigpt().double(), "torch.float64 on cpu"),
    "numerics left to the libraries": (minigpt, "numerics left to the libraries"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_the_loops_do_not_know_the_textbooks_modules_compute(name, monkeypatch):
    (make, reason), (ids, targets) = OTHERS[name], batch(True)
    model = make().train()
    if name == "numerics left to the libraries":
        monkeypatch.setenv("MINITUNER_NUMERICS", "unrestricted")
    fast = compute.accelerate(model)
    assert reason in unknown(model)
    monkeypatch.setattr(accelerated.step, "run", None)  # what must not be called
    results = []
    for computed in (fast, model):
        torch.manual_seed(0)
        loss = computed.loss(ids, targets)
        gradients = torch.autograd.grad(loss, lora.trainable_parameters(model))
        torch.manual_seed(0)
        results.append([loss, *gradients, computed(ids)])
    assert all(map(torch.equal, *results))
    model.eval()
    texts = ["go: she ", "be: "], ["went", "am"]
    log_probs, likeliest = fast.score(*texts)
    expected, expected_likeliest = evaluate.score(model, *texts)
    assert torch.allclose(log_probs, expected, atol=1e-5)
    assert torch.equal(likeliest, expected_likeliest)


def test_too_long_a_sentence_is_refused_in_the_textbooks_words():
    fast, ids = compute.accelerate(minigpt()), torch.zeros(1, 33, dtype=torch.int64)
    with pytest.raises(UserError, match="33 symbols do not fit 32"):
        fast(ids)
    with pytest.raises(UserError, match="33 symbols do not fit 32"):
        fast.loss(ids, ids)
    with pytest.raises(UserError, match="33 symbols do not fit 32"):
        fast.score(["e" * 30], ["ate"])


@pytest.mark.parametrize("name", ["everything", "partly", "all, rank 9", "NF4"])
def test_training_goes_the_same_way_with_and_without(name):
    curves, models = [], [MODELS[name]() for _ in range(2)]
    for model, by_loops in zip(models, (True, False), strict=True):
        trained = compute.accelerate(model) if by_loops else model
        options = {"adamw": compute.AdamW} if by_loops else {}
        pairs = iter([batch(step % 2 == 0) for step in range(TUNING["steps"])])
        curves.append(train.fit(trained, pairs, [batch(False)], TUNING, **options))
    for one, other in zip(*curves, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert curves[0][-1]["val_loss"] < curves[0][0]["val_loss"] - 1e-3
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.allclose(one, other, atol=1e-3)
