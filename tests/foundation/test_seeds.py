"""Named generators: equal for equal names, unrelated otherwise, the same in every process."""

from minituner.foundation import seeds


def test_a_seed_is_the_same_in_every_process_and_version():
    assert seeds.derive_seed(0, "adapter", "init") == 4857589743088742146


def test_another_purpose_or_seed_gives_another_stream():
    drawn = {seeds.derive_seed(s, p) for s in range(3) for p in ("a", "b")}
    assert len(drawn) == 6


def test_purposes_do_not_run_together():
    assert seeds.derive_seed(0, "ab", "c") != seeds.derive_seed(0, "a", "bc")


def test_seeds_fit_torch_and_numpy():
    assert all(0 <= seeds.derive_seed(s, "x") < 2**63 for s in range(100))
