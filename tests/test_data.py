"""The loss sees exactly the form and its closing symbol, and nothing of the padding."""

import numpy as np
import pytest
import torch

from minituner import data
from minituner.foundation.errors import UserError
from minituner.model import IGNORE

TEXTS = ["go: she went home.", "eat: I ate."]
VOCAB = data.vocabulary(TEXTS)


def decode(ids):
    return "".join(VOCAB[i] for i in ids)


def test_a_vocabulary_is_the_boundary_and_each_character_once_in_code_point_order():
    assert data.vocabulary(["ba a", "éB\n"]) == "\n Babé"


def test_a_sentence_round_trips_between_its_boundaries():
    ids, targets = data.batch(TEXTS, VOCAB)
    assert decode(ids[0]) == "\n" + TEXTS[0]
    assert decode(targets[0]) == TEXTS[0] + "\n"


def test_padding_is_never_a_target():
    _, targets = data.batch(TEXTS, VOCAB)
    assert (targets[1, len(TEXTS[1]) + 1 :] == IGNORE).all()
    assert (targets[1, : len(TEXTS[1]) + 1] != IGNORE).all()


def test_a_text_fits_with_the_boundary_before_it_and_no_longer_one(model):
    """As the model itself sees it: its inputs are the boundary and the text."""
    longest = "x" * (model.config.context - 1)
    data.check_fits(["", longest], model.config.context, "here")
    ids, _ = data.batch([longest], data.BOUNDARY + "x")
    assert model(ids).shape[1] == model.config.context
    with pytest.raises(UserError, match="^here: text: 'xx.* 64 characters, .* = 65 or more"):
        data.check_fits([longest + "x", "a"], model.config.context, "here")


def test_the_loss_sees_the_form_and_its_closing_space_only():
    text, seen = data.completion(TEXTS[0], "go: she ", "went")
    assert (text, seen) == ("go: she went ", 5)
    ids, targets = data.batch([text], VOCAB, [seen])
    assert decode(targets[targets != IGNORE]) == "went "
    # The prediction of "w" is made at the space before it.
    first = int((targets[0] != IGNORE).nonzero()[0])
    assert decode(ids[0, : first + 1]) == "\ngo: she "


def test_a_form_that_ends_the_sentence_is_closed_by_what_follows_it():
    assert data.completion("eat: I ate.", "eat: I ", "ate") == ("eat: I ate.", 4)
    assert data.completion("eat: I ate", "eat: I ", "ate") == ("eat: I ate\n", 4)


def test_an_unknown_character_is_named():
    with pytest.raises(UserError, match="does not know 'z'"):
        data.encode("zoo", VOCAB)


def test_every_example_is_seen_once_an_epoch():
    batches = data.index_batches(10, 4, np.random.default_rng(0))
    drawn = np.concatenate([next(batches) for _ in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))


def test_targets_are_int64_so_that_cross_entropy_takes_them():
    ids, targets = data.batch(TEXTS, VOCAB)
    assert ids.dtype == targets.dtype == torch.int64
