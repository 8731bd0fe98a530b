"""What a sweep takes on a cluster follows from what was measured, and rules ask for enough."""

import math
import re
from pathlib import Path

import pytest

from benchmarks import throughput
from benchmarks.throughput import Costs, simulate
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from tests.support.command import call

ROOT = Path(__file__).resolve().parents[2]

FREE = Costs(work=10, job=0, member=0, submit=0, poll=0)
REAL = Costs(work=16, job=3, member=2.5, submit=0.2, poll=5)


def test_without_overhead_the_work_is_shared_out_evenly():
    for slots in (1, 4, 16):
        outcome = simulate(64, 1, slots, 1000, FREE)
        assert outcome.makespan == 64 * 10 / slots
        assert outcome.efficiency == 1


def test_a_last_wave_that_is_not_full_takes_as_long_as_a_full_one():
    assert simulate(5, 1, 4, 100, FREE).makespan == 20


def test_one_slot_takes_the_sum_of_all_jobs():
    outcome = simulate(7, 3, 1, 100, Costs(work=10, job=3, member=2, submit=0, poll=0))
    assert outcome.jobs == 3
    assert outcome.makespan == outcome.held == 3 * 3 + 7 * 12


def test_submitting_bounds_the_whole_however_many_slots_there_are():
    costs = Costs(work=1, job=0, member=0, submit=0.5, poll=0)
    assert simulate(1000, 1, 1000, 1000, costs).makespan == pytest.approx(1000 * 0.5 + 1)


def test_no_more_slots_are_used_than_jobs_may_be_in_the_queue():
    narrow, wide = simulate(100, 1, 50, 5, FREE), simulate(100, 1, 5, 50, FREE)
    assert narrow.makespan == wide.makespan == 200


def test_an_end_is_noticed_at_the_next_look_at_the_queue():
    assert simulate(1, 1, 1, 1, Costs(work=11, job=0, member=0, submit=0, poll=5)).makespan == 15


@pytest.mark.parametrize("slots", [1, 16, 256])
@pytest.mark.parametrize("group", [1, 10, 100])
def test_nothing_is_faster_than_the_work_and_the_longest_job_allow(slots, group):
    outcome = simulate(1000, group, slots, 2 * slots, REAL)
    assert outcome.makespan >= max(outcome.held / slots, REAL.slot(group))
    assert outcome.held == pytest.approx(1000 * 18.5 + outcome.jobs * 3)
    assert outcome.jobs == math.ceil(1000 / group)


def test_nonsense_is_refused():
    with pytest.raises(ValueError):
        simulate(0, 1, 1, 1, FREE)


@pytest.fixture
def measured(tmp_path):
    """Benchmarks, overheads and rules as the page is made of."""
    for name, seconds, peak in [("train/rank1_seed0", 10, 510), ("train/rank2_seed0", 14, 600),
                                ("train_full/0", 9, 500), ("evaluate/base", 4, 400),
                                ("base", 200, 800)]:  # fmt: skip
        path = tmp_path / "benchmarks" / f"{name}.tsv"
        storage.write_text(path, f"s\tmax_rss\tcpu_time\n99\t{peak}\t{seconds}\n")
    slurm = {"start_s": 9, "latency_s": 6, "slot_s": 5, "member_s": 2, "submit_s": 0.1}
    local = {"start_s": 2, "latency_s": 0.1}
    overhead = {"local": local, "cluster-generic": slurm, "slurm": slurm}
    overhead |= {"load": 0.5, "snakemake_mb": 150}
    storage.write_json(tmp_path / "overhead.json", overhead)
    train = "    resources:\n        mem_mb=grown(1000),\n        runtime=grown(5),\n"
    base = "    resources:\n        runtime=grown(30),\n"
    for name, asked in (("train", train), ("base", base)):
        rule = f'rule {name}:\n{asked}    shell:\n        "true"\n'
        storage.write_text(tmp_path / "rules" / "experiment" / f"{name}.smk", rule)
    defaults = "default-resources:\n  mem_mb: attempt * 2000\n  runtime: attempt * 5\n"
    storage.write_text(tmp_path / "profiles" / "default" / "config.yaml", defaults)
    return tmp_path


def page(folder):
    options = {"benchmarks": folder / "benchmarks", "overhead": folder / "overhead.json"}
    call("throughput", rules=folder / "rules", out=folder / "scale.md", **options)
    return (folder / "scale.md").read_text()


def test_the_page_says_what_was_measured_needed_and_asked_for(measured):
    text = page(measured)
    assert "| train | 2 | 14.0 | 600 | 1500 | 1000 | 5 | 5 |" in text
    assert "| base | 1 | 200.0 | 800 | 1500 | 2000 | 35 | 30 |" in text  # its memory by default
    assert "16.0 core-seconds" in text  # the mean of 10 and 14, and 4
    assert "| slurm | 6.00 | 5.00 | 2.00 | 0.10 |" in text
    assert text.count("| 10,000 |") == len(throughput.NODES)
    assert page(measured) == text


def test_missing_and_damaged_benchmarks_are_named(measured):
    (measured / "benchmarks" / "base.tsv").write_text("s\n")
    with pytest.raises(UserError, match="base.tsv: no benchmark"):
        page(measured)
    (measured / "benchmarks" / "base.tsv").unlink()
    (measured / "benchmarks" / "evaluate" / "base.tsv").unlink()
    with pytest.raises(UserError, match="no benchmark of evaluate"):
        page(measured)


def test_every_rule_of_the_workflow_asks_for_memory_and_time_that_grow():
    asked = throughput.declared(ROOT / "rules")
    rules = [line for path in (ROOT / "rules").rglob("*.smk") for line in
             path.read_text().splitlines() if line.startswith("rule ")]  # fmt: skip
    assert len(asked) == len(rules) - 2  # `trained` and `qlora_trained` only gather
    assert all(memory >= 500 and minutes >= 5 for memory, minutes in asked.values())


def test_no_rule_asks_for_less_than_its_measured_jobs_need():
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (\w+) \|.* (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", text)
    needs = {rule: tuple(map(int, numbers)) for rule, *numbers in rows if not rule.isdecimal()}
    assert {"base", "train", "qlora", "evaluate"} <= set(needs)
    asked = throughput.declared(ROOT / "rules")
    for rule, (memory, memory_asked, minutes, minutes_asked) in needs.items():
        assert (memory_asked, minutes_asked) == asked[rule], rule
        assert memory <= memory_asked and minutes <= minutes_asked, rule
