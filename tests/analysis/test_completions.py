"""What the report shows beside each prompt: what a model writes, and how likely it finds what."""

import math

import torch.nn.functional as F

from minituner import compute, data
from minituner.analysis import completions
from tests.support.sentences import CONTROL, SENTENCES, subset_rows

ROWS = subset_rows(SENTENCES, ["test", "val"]) + subset_rows(CONTROL, ["test"], "control")


def probability(model, prompt, word):
    """Of a word and what closes it."""
    ids = data.batch([prompt + word], model.config.vocab)[0]
    by_symbol = F.log_softmax(model(ids)[0], -1)[range(len(prompt + word)), ids[0, 1:]]
    return math.exp(float(by_symbol[len(prompt) :].detach().sum()))


def test_the_examples_are_a_past_of_each_verb_and_a_few_regular_ones():
    shown = completions.examples(ROWS)
    assert [row["id"] for row in shown] == [
        *("eat-past_simple-test", "go-past_simple-test", "see-past_simple-test"),
        *("eat-past_participle-test", "go-past_participle-test", "walk-past_simple-test"),
    ]


def test_each_example_has_the_probability_of_its_form_and_of_the_likeliest_rival(model):
    alone = ROWS[0] | {"alternatives": []}
    shown = completions.continued(compute.accelerate(model), "lora", "lora_r1_s0", [ROWS[0], alone])
    prompt, closing = ROWS[0]["prompt"], " "
    rivals = {
        rival: probability(model, prompt, rival + closing) for rival in ROWS[0]["alternatives"]
    }
    form_p = probability(model, prompt, ROWS[0]["form"] + closing)
    for row in shown:
        assert math.isclose(row["form_p"], form_p, rel_tol=1e-5)
        assert (row["method"], row["run"]) == ("lora", "lora_r1_s0")
        assert row["prompt"] + row["expected"] == ROWS[0]["text"]
    assert shown[0]["rival"] == max(rivals, key=rivals.get)
    assert math.isclose(shown[0]["rival_p"], max(rivals.values()), rel_tol=1e-5)
    assert shown[1]["rival"] is shown[1]["rival_p"] is None
