"""A node of Slurm that dies under a job. The first of these tests: it sets all runs going."""

from .conftest import BASE, hashes


def test_when_a_node_dies_its_job_is_tried_again(runs, finished):
    runs["lost"].finish()
    outcome = runs["lost"].outcome()
    assert outcome.pop(runs["lost"].held)["state"] == "NODE_FAIL"
    assert {row["state"] for row in outcome.values()} == {"COMPLETED"}
    assert BASE in hashes(runs["lost"].project)
    assert hashes(runs["lost"].project).items() <= hashes(finished).items()
