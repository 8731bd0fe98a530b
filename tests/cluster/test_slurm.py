"""The workflow on a real Slurm of two nodes. The last of these tests: Slurm takes its time.

It looks every half minute for jobs past their limit; the stores are tested meanwhile.
"""

from tests.workflow.test_dvc import records

from .conftest import hashes


def test_the_whole_workflow_on_slurm_makes_the_same_bytes(runs, finished):
    runs["whole"].finish()
    assert hashes(runs["whole"].project) == hashes(finished)
    # Every job went through sbatch, and the small ones together.
    jobs = runs["whole"].jobs_of_rules()
    assert set(jobs) == {record["rule"] for record in records(runs["whole"].project)}
    assert len(set().union(*(jobs[rule] for rule in ("train", "train_full", "qlora")))) == 1


def test_a_job_past_its_time_limit_is_tried_again_with_more_time(runs, finished):
    runs["limited"].finish()
    outcome = runs["limited"].outcome()
    held = outcome[runs["limited"].held]
    assert (held["state"], held["limit"]) == ("TIMEOUT", "1:00")
    *_, last = outcome.values()  # the second try; the third where the machine is very busy
    assert (last["state"], last["limit"] in ("2:00", "3:00")) == ("COMPLETED", True)
    assert hashes(runs["limited"].project).items() <= hashes(finished).items()
