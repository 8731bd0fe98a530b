"""The workflow on a real Slurm of two nodes. The last of these tests: Slurm takes its time.

It looks every half minute for jobs past their limit; the stores are tested meanwhile.
"""

import pytest

from tests.cluster.conftest import hashes
from tests.workflow.test_dvc import records


def test_the_whole_workflow_on_slurm_makes_the_same_bytes(whole, finished, saw):
    whole.finish()
    assert hashes(whole.project) == hashes(finished)
    # Every job went through sbatch, and the small ones together.
    jobs = whole.jobs_of_rules()
    assert set(jobs) == {record["rule"] for record in records(whole.project)}
    assert len(set().union(*(jobs[rule] for rule in ("train", "train_full", "qlora")))) == 1
    saw("none", "`snakemake --profile profiles/slurm all`", "the same bytes as without Slurm")
    assert (whole.project.root.parent / "bin" / "sbatch.refused").is_dir()
    saw("`sbatch` fails", "once, the controller being busy", "tried again; the same bytes")


@pytest.mark.slow
def test_a_job_past_its_time_limit_is_tried_again_with_more_time(disturbed, finished, saw):
    limited = disturbed["limited"]
    limited.finish()
    outcome = limited.outcome()
    held = outcome[limited.held]
    assert (held["state"], held["limit"]) == ("TIMEOUT", "1:00")
    *_, last = outcome.values()  # the second try; the third where the machine is very busy
    assert (last["state"], last["limit"] in ("2:00", "3:00")) == ("COMPLETED", True)
    assert hashes(limited.project).items() <= hashes(finished).items()
    saw("time limit", "of a job on Slurm that hangs", "tried again with more time; the same bytes")
