"""The simulation sees an interval that is too short, and finds ours long enough."""

from benchmarks.coverage import __main__ as simulation


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    for kind, truth in (("margin", 2.0), ("drift", 0.01), ("accuracy", 0.9)):
        share, _ = simulation.coverage(kind, truth, repetitions=60)
        assert 0.85 <= share, kind


def test_intervals_over_pairs_alone_are_seen_to_miss_it(monkeypatch):
    def without_seeds(values, group, settings):
        return sum(values) / len(values)

    monkeypatch.setattr(simulation, "over_seeds", without_seeds)
    monkeypatch.setattr(simulation, "PAIR", 0.2)
    share, _ = simulation.coverage("margin", 2.0, repetitions=60)
    assert share < 0.8
