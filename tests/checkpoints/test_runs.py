"""A run's name says what it is, and what is shown beside it."""

import pytest

from minituner.checkpoints import runs
from minituner.foundation import storage
from minituner.foundation.errors import UserError


@pytest.mark.parametrize(
    ("name", "group", "method", "rank", "seed"),
    [
        ("base", "base", "base", None, None),
        ("full_s3", "full", "full", None, 3),
        ("qlora_r16_s0", "qlora_r16", "qlora", 16, 0),
    ],
)
def test_run_names_are_read(name, group, method, rank, seed):
    expected = {"group": group, "method": method, "rank": rank, "seed": seed}
    assert runs.parse_run(name) == expected


def test_a_sweeps_runs_are_each_rank_with_each_seed():
    sweep = {"ranks": [1, 8], "qlora_ranks": [8], "seeds": [0, 3]}
    full, qlora = ["full_s0", "full_s3"], ["qlora_r8_s0", "qlora_r8_s3"]
    lora = ["lora_r1_s0", "lora_r1_s3", "lora_r8_s0", "lora_r8_s3"]
    assert runs.all_runs(sweep) == ["base", "nf4", *full, *lora, *qlora]
    assert runs.compared_runs(sweep) == lora[2:]
    assert runs.qlora_runs(sweep) == qlora


def test_a_strange_run_name_is_refused():
    with pytest.raises(UserError, match="not a run's name"):
        runs.parse_run("lora_r1_s0_old")


def test_the_default_is_base_judged_adapter_and_the_qlora_run_nearest_to_it(tmp_path):
    for run in ("qlora_r1_s0", "qlora_r8_s0", "qlora_r8_s1"):
        storage.write_json(tmp_path / "qlora" / run / "adapter_config.json", {})
    verdict = {"adapter": {"adapter": "lora_r4_s1"}}
    storage.write_json(tmp_path / "definition_of_done.json", verdict)
    assert runs.judged(tmp_path) == "lora_r4_s1"
    assert runs.qlora_made_beside("lora_r4_s1", tmp_path) == ["qlora_r1_s1"]
    assert runs.qlora_made_beside("lora_r32_s1", tmp_path) == ["qlora_r8_s1"]
