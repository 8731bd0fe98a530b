"""Each metric is taken over its own sentences."""

import numpy as np
import pandas as pd

from minituner.analysis.metrics import COMPARISONS, METRICS, drift, scoped

ROWS = [
    # set, probe, tense, margin
    ("irregular", False, "past_simple", 1.0),
    ("irregular", True, "past_participle", 1.0),
    ("control", False, "past_simple", 1.0),
    ("control", False, "present_simple", 1.0),
    ("control", False, "past_participle", None),  # has no rival
]


def test_the_rows_of_each_metric_are_told_apart():
    table = scoped(pd.DataFrame(ROWS, columns=["set", "probe", "tense", "margin"]))
    expected = {
        "irregular": [0],
        "probe": [1],
        "control": [2, 3, 4],
        "control_past": [2],
    }
    assert {metric.scope for metric in METRICS.values()} == set(expected)
    for scope, rows in expected.items():
        assert list(np.flatnonzero(table[scope])) == rows, scope
    assert (table["one"] == 1).all()


def test_what_is_held_against_the_base_is_a_metric_that_is_taken():
    assert {metric for metric, _ in COMPARISONS.values()} <= METRICS.keys()
    assert drift(np.array([1.5]), np.array([1.2])) == np.array([1.5]) / np.array([1.2]) - 1
