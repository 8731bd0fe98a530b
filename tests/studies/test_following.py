"""A run is compared where it first reaches a level, and mixed from what it was before and after."""

import pytest

from studies.following import mixture
from studies.levels import crossing


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.5, 3.0], (1, 0.5, True)),
        ([0.0, 1.0, 0.0, 2.0], (0, 1.0, True)),  # the first time counts
        ([0.0, 0.2, 0.4], (1, 1.0, False)),  # never: the end
        ([0.0, -1.0, 3.0], (1, 0.5, True)),
    ],
)
def test_a_level_is_reached_between_two_checkpoints(values, expected):
    assert crossing(values, 1.0) == pytest.approx(expected)


def row(margin, **fields):
    scores = dict.fromkeys(("exact", "chosen"), margin and margin > 0)
    scores |= dict.fromkeys(("correct_logp", "form_nats", "sentence_nats"), -1.0)
    scores |= {"form_symbols": 4, "sentence_symbols": 20}
    return {"id": "a", "margin": margin} | scores | fields


def test_scores_are_mixed_sentence_by_sentence_and_names_stay():
    mixed = mixture([row(1.0), row(None)], [row(-1.0), row(None)], 0.25)
    assert mixed[0]["margin"] == 0.5 and mixed[0]["chosen"] == 0.75 and mixed[0]["id"] == "a"
    assert mixed[0]["sentence_symbols"] == 20
    assert mixed[1]["margin"] is None and mixed[1]["chosen"] is None
