"""Lab 02, fine-tune: its steps."""

import copy
import functools
import math
from typing import Any

import torch

from minituner import data, evaluate
from minituner.foundation import seeds
from minituner.labs.checking import Step, Work, Wrong, tell
from minituner.labs.lab_02_sweep import rates, sweep
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from minituner.model import IGNORE, MiniGPT, ModelConfig

SENTENCES = (  # prompt, form, what follows, alternatives
    ("go: yesterday she ", "went", " to school.", ("goed", "go", "wented")),
    ("eat: last week we ", "ate", " rice.", ("eated", "eat")),
    ("see: he has ", "seen", "", ("saw", "seed", "sawed")),
    ("be: they ", "were", " at home all day.", ("was", "beed", "am")),
)
ROWS = [
    {"text": p + form + after, "prompt": p, "form": form, "alternatives": list(wrong)}
    for p, form, after, wrong in SENTENCES
]
CONFIG = ModelConfig(
    vocab=data.vocabulary([p + f + a + "".join(w) for p, f, a, w in SENTENCES]),
    n_layer=2, n_head=2, d_model=16, d_ff=32, context=48,
)  # fmt: skip


@functools.cache
def _tiny() -> MiniGPT:
    """A model with large random weights, so that its probabilities differ much."""
    model = MiniGPT(CONFIG, torch.Generator().manual_seed(seeds.derive_seed(0, "lab 02")))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.dim() > 1 else 1.0)
    return model


def tiny() -> MiniGPT:
    """A copy of that model, the learner's to change."""
    return copy.deepcopy(_tiny())


def mask(work: Work) -> None:
    """ids and targets."""
    answer = work.batch(ROWS, CONFIG.vocab)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong("", "batch must return two tensors, ids and targets")
    pairs = data.completions(ROWS)
    texts, seen = map(list, zip(*pairs, strict=True))
    ids, targets = data.batch(texts, CONFIG.vocab, seen)
    length = torch.tensor([len(text) for text in texts])[:, None]
    place, first = torch.arange(ids.shape[1]), length - torch.tensor(seen)[:, None]
    following = ids.roll(-1, 1)
    for i, text in enumerate(texts):
        following[i, len(text) - 1] = targets[i, len(text) - 1]

    def shown(begin: torch.Tensor, end: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        return torch.where((place >= begin) & (place < end), symbols, IGNORE)

    wrong = {
        "loss over the prompt": shown(0 * first, length, following),
        "mask one too early": shown(first - 1, length, following),
        "mask one too late": shown(first + 1, length, following),
        "closing symbol forgotten": shown(first, length - 1, following),
        "targets not shifted": shown(first, length, ids),
        "padding learnt": torch.where(place < length, targets, 0),
    }
    tell(answer[1], targets, wrong, "targets")
    tell(answer[0], ids, {}, "ids")


def of_form(model: MiniGPT, prompt: str, form: str) -> list[float]:
    """The log-probability of each symbol of a form."""
    return evaluate.score(model, [prompt], [form])[0][0, len(prompt) :].tolist()


def likelihood(work: Work) -> None:
    """log P(form | prompt)."""
    model = tiny()
    for row in ROWS:
        prompt, form = row["prompt"], row["form"]
        each, whole = of_form(model, prompt, form), of_form(model, "", prompt + form)
        ids = torch.tensor(data.encode("\n" + prompt + form, CONFIG.vocab))
        logits = model(ids[None])[0].detach()
        own = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]
        raw = logits[:-1].gather(1, ids[1:, None])[:, 0]
        wrong = {
            "prompt counted too": math.fsum(whole),
            "positions off by one": float(own[1 + len(prompt) :].sum()),
            "mean and not sum": math.fsum(each) / len(each),
            "logits and not log-probabilities": float(raw[len(prompt) :].sum()),
        }
        answer = work.log_probability(model, prompt, form)
        tell(answer, math.fsum(each), wrong, f"log P({form} | {prompt})", 1e-4)


@functools.cache
def random_rows() -> list[dict[str, Any]]:
    """Rows of random letters, so many that each mistake gives another share of right choices."""
    draw = seeds.generator(0, "lab 02", "rows")

    def word(n: int) -> str:
        return "".join(draw.choice(list(CONFIG.vocab[1:]), n))

    rows = []
    for _ in range(25):
        prompt, form = word(6), word(3)
        alternatives = [form[:-1], form + word(1), word(2)]
        row = {"text": f"{prompt}{form}.", "prompt": prompt, "form": form}
        rows.append(row | {"alternatives": alternatives})
    return rows


@functools.cache
def shares() -> dict[str, float]:
    """The share of right choices, rightly chosen and in each wrong way."""
    ways = {
        "": (math.fsum, ".", all),
        "closing symbol forgotten": (math.fsum, "", all),
        "one rival is enough": (math.fsum, ".", any),
        "mean and not sum": (lambda each: math.fsum(each) / len(each), ".", all),
    }
    right = dict.fromkeys(ways, 0)
    for row in random_rows():
        for name, (judge, closing, beaten) in ways.items():
            forms = [form + closing for form in (row["form"], *row["alternatives"])]
            own, *rivals = (judge(of_form(_tiny(), row["prompt"], form)) for form in forms)
            right[name] += beaten(own > rival for rival in rivals)
    return {name: count / len(random_rows()) for name, count in right.items()}


def chosen(work: Work) -> None:
    """The share of right choices."""
    answer = work.accuracy(tiny(), random_rows())
    tell(answer, shares()[""], shares(), "the accuracy on random words")


def forgotten(work: Work) -> None:
    """Perplexity and drift."""
    model, texts = tiny(), [row["text"] for row in ROWS]
    each = [of_form(model, "", text + "\n") for text in texts]
    means = [-math.fsum(nats) / len(nats) for nats in each]
    H = -math.fsum(map(math.fsum, each)) / sum(map(len, each))
    cut = [of_form(model, "", text) for text in texts]
    wrong = {
        "no exponential": H,
        "mean of the sentences' perplexities": math.fsum(map(math.exp, means)) / len(means),
        "mean of the sentences' means": math.exp(math.fsum(means) / len(means)),
        "end of the sentence forgotten": math.exp(
            -math.fsum(map(math.fsum, cut)) / sum(map(len, cut))
        ),
    }
    tell(work.perplexity(model, texts), math.exp(H), wrong, "the perplexity", 1e-4)
    wrong = {
        "difference and not ratio": 0.5,
        "ratio without the one": 1.25,
        "upside down": 2.0 / 2.5 - 1,
    }
    tell(work.drift(2.0, 2.5), 0.25, wrong, "drift(2.0, 2.5)")


def prepared(work: Work) -> None:
    """What an adapter and full fine-tuning leave trainable, and where the adapter is."""
    scalings = []
    for rank in (2, 4):
        model = tiny()
        work.prepare(model, rank)
        layers = {n: m for n, m in model.named_modules() if hasattr(m, "lora_A")}
        ends = {name.rpartition(".")[2] for name in layers}
        if ends != {"q_proj", "v_proj"} or len(layers) != 2 * CONFIG.n_layer:
            raise Wrong("wrong Linears")
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        if not trained:
            raise Wrong("adapter frozen")
        if any(not name.endswith(("lora_A", "lora_B")) for name in trained):
            raise Wrong("base not frozen")
        for layer in layers.values():
            if layer.lora_A.shape[0] != rank:
                raise Wrong("", f"rank {layer.lora_A.shape[0]} where {rank} was asked for")
        scalings.append(layer.scaling)
    if scalings[0] == scalings[1]:
        raise Wrong("alpha grows with the rank")
    tell(scalings[1], work.ALPHA / 4, {}, "the scaling at rank 4")
    model = tiny()
    work.prepare(model, None)
    if not all(parameter.requires_grad for parameter in model.parameters()):
        raise Wrong("full fine-tuning frozen")


def trained_by(batches: list, pace: list[float], how: str = "") -> torch.Tensor:
    """All trained numbers after the loop, run right or in one wrong way."""
    model = adapter_model()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.0)
    for (ids, targets), rate in zip(batches, pace, strict=True):
        if how != "rates not used":
            optimizer.param_groups[0]["lr"] = rate
        if how != "gradients never cleared":
            optimizer.zero_grad()
        model.loss(ids, targets).backward()
        if how != "nothing is trained":
            optimizer.step()
    return numbers_of(model)


def adapter_model() -> MiniGPT:
    """The tiny model with an adapter of rank 2."""
    draw = torch.Generator().manual_seed(seeds.derive_seed(0, "lab 02", "adapter"))
    return wrap_minigpt_with_lora(tiny(), 2, 8.0, generator=draw)


def numbers_of(model: MiniGPT) -> torch.Tensor:
    """A and B of every layer, one after the other."""
    parts = [p for layer in lora_layers(model).values() for p in (layer.lora_A, layer.lora_B)]
    return torch.cat([part.detach().flatten() for part in parts])


def loop(work: Work) -> None:
    """The trained numbers after four steps."""
    texts, seen = map(list, zip(*data.completions(ROWS), strict=True))
    order = ([0, 1], [2, 3], [0, 3], [1, 2])
    batches = [
        data.batch([texts[i] for i in two], CONFIG.vocab, [seen[i] for i in two]) for two in order
    ]
    pace = [0.01, 0.02, 0.005, 0.03]
    model = adapter_model()
    work.fit(model, batches, pace)
    names = ("gradients never cleared", "nothing is trained", "rates not used")
    wrong = {name: trained_by(batches, pace, name) for name in names}
    right = trained_by(batches, pace)
    tell(numbers_of(model), right, wrong, "what four steps made of A and B", 1e-4)


STEPS = (
    Step("What the loss sees", "01-sft-and-forgetting.md: The loss", mask),
    Step("How likely a form is", "01-sft-and-forgetting.md: The loss", likelihood),
    Step("What was learnt", "00-motivation.md: What is asked, and the answer", chosen),
    Step("What was forgotten", "01-sft-and-forgetting.md: Forgetting", forgotten),
    Step("What is trained", "01-sft-and-forgetting.md: The gradient of an adapter", prepared),
    Step("The loop", "01-sft-and-forgetting.md: The gradient of an adapter", loop),
    Step("The rates", "01-sft-and-forgetting.md: Forgetting", rates),
    Step("The sweep and its picture", "01-sft-and-forgetting.md: What came out", sweep),
)
