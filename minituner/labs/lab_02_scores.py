"""Lab 02's steps that score a model: likelihood, accuracy, perplexity and drift."""

import functools
import math
from typing import Any

import torch

from minituner import data
from minituner.foundation import seeds
from minituner.labs.checking import Work, tell
from minituner.labs.lab_02_tiny import CONFIG, ROWS, of_form, tiny


def likelihood(work: Work) -> None:
    """log P(form | prompt)."""
    model = tiny()
    for row in ROWS:
        prompt, form = row["prompt"], row["form"]
        each, whole = of_form(model, prompt, form), of_form(model, "", prompt + form)
        ids = torch.tensor(data.encode("\n" + prompt + form, CONFIG.vocab))
        logits = model(ids[None])[0].detach()
        own = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]
        headless = model(ids[None, 1:-1])[0].detach().log_softmax(-1)
        headless = headless.gather(1, ids[2:, None])[len(prompt) - 1 :, 0]
        raw = logits[:-1].gather(1, ids[1:, None])[:, 0]
        wrong = {
            "prompt counted too": math.fsum(whole),
            "positions off by one": float(own[1 + len(prompt) :].sum()),
            "mean and not sum": math.fsum(each) / len(each),
            "newline in front forgotten": float(headless.sum()),
            "logits and not log-probabilities": float(raw[len(prompt) :].sum()),
        }
        answer = work.log_probability(model, prompt, form)
        tell(answer, math.fsum(each), wrong, f"log P({form} | {prompt})", 1e-4)


@functools.cache
def random_rows() -> list[dict[str, Any]]:
    """Rows of random letters, of kinds that make each mistake give another share of right choices.

    Most forms are closed by the symbol that the model finds likeliest behind them. So the right
    form often wins, and often by nothing but its closing symbol.
    """
    draw = seeds.generator(2, "lab 02", "rows")
    symbols = CONFIG.vocab[1:]

    def word(n: int) -> str:
        return "".join(draw.choice(list(symbols), n))

    rows = []
    for i in range(32):
        prompt, form = word(6), word(3)
        alternatives = (
            [form[:-1] + word(1), word(3), word(3)],
            [form + word(3), word(6)],
            [form[:-1], word(4)],
            [form[:-1], word(2)],
        )[i % 4]
        ids = torch.tensor([data.encode("\n" + prompt + form, CONFIG.vocab)])
        likeliest = symbols[int(tiny()(ids)[0, -1, 1:].argmax())]
        closing = likeliest if i % 3 else word(1)
        row = {"text": f"{prompt}{form}{closing}.", "prompt": prompt, "form": form}
        rows.append(row | {"alternatives": alternatives})
    return rows


@functools.cache
def shares() -> dict[str, float]:
    """The share of right choices, as "", and by mistakes' names the shares that they give."""
    model, found = tiny(), []
    for row in random_rows():
        prompt, forms = row["prompt"], (row["form"], *row["alternatives"])
        closing = row["text"][len(prompt + row["form"])]
        bare, whole = (
            [of_form(model, prompt, form + end) for form in forms] for end in ("", closing)
        )
        own, *rivals = map(math.fsum, whole)
        own_bare, *rivals_bare = map(math.fsum, bare)
        own_mean, *means = (math.fsum(nats) / len(nats) for nats in whole)
        found.append(
            {
                "": own > max(rivals),
                "closing symbol forgotten": own_bare > max(rivals_bare),
                "right form not closed": own_bare > max(rivals),
                "alternatives not closed": own > max(rivals_bare),
                "one rival is enough": own > min(rivals),
                "rivals averaged": own > math.fsum(rivals) / len(rivals),
                "mean and not sum": own_mean > max(means),
            }
        )
    share = {name: sum(row[name] for row in found) / len(found) for name in found[0]}
    return share | {"percent and not share": 100 * share[""]}


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
    whole, without = (-math.fsum(map(math.fsum, nats)) for nats in (each, cut))
    wrong = {
        "no exponential": H,
        "mean of the sentences' perplexities": math.fsum(map(math.exp, means)) / len(means),
        "mean of the sentences' means": math.exp(math.fsum(means) / len(means)),
        "end of the sentence forgotten": math.exp(without / sum(map(len, cut))),
        "end of the sentence forgotten: but counted": math.exp(without / sum(map(len, each))),
        "end of the sentence forgotten: in the count": math.exp(whole / sum(map(len, cut))),
    }
    tell(work.perplexity(model, texts), math.exp(H), wrong, "the perplexity", 1e-4)
    wrong = {
        "difference and not ratio": 0.5,
        "ratio without the one": 1.25,
        "upside down": 2.0 / 2.5 - 1,
        "percent and not share": 25.0,
    }
    tell(work.drift(2.0, 2.5), 0.25, wrong, "drift(2.0, 2.5)")
