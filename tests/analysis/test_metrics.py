"""Each metric is taken over its own sentences."""

import numpy as np
import pandas as pd

from minituner.analysis.metrics import COMPARISONS, METRICS, drift, scoped

ROWS = [
    # set, split, tense, margin
    ("irregular", "test", "past_simple", 1.0),
    ("cell", "test", "past_participle", 1.0),
    ("control", "test", "past_simple", 1.0),
    ("control", "test", "present_simple", 1.0),
    ("control", "test", "past_participle", None),  # has no rival
    ("seen", "train", "past_simple", 1.0),
    ("subject", "test", "past_simple", 1.0),
    ("tenses", "test", "present_simple", 1.0),
]


def test_the_rows_of_each_metric_are_told_apart():
    table = scoped(pd.DataFrame(ROWS, columns=["set", "split", "tense", "margin"]))
    expected = {
        "irregular": [0],
        "cell": [1],
        "seen": [5],
        "subject": [6],
        "tenses": [7],
        "control": [2, 3, 4],
        "control_past": [2],
    }
    assert {metric.scope for metric in METRICS.values()} == set(expected)
    for scope, rows in expected.items():
        assert list(np.flatnonzero(table[scope])) == rows, scope
    assert (table["one"] == 1).all()
    assert (table["split"] == "test").all(), "what tuning saw is reported beside the test"


def test_what_is_held_against_the_base_is_a_metric_that_is_taken():
    assert {metric for metric, _ in COMPARISONS.values()} <= METRICS.keys()
    assert drift(np.array([1.5]), np.array([1.2])) == np.array([1.5]) / np.array([1.2]) - 1
