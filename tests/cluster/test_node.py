"""A node of Slurm that dies under a job. The first of these tests: it sets all runs going."""

import pytest

from tests.cluster.conftest import BASE, hashes


@pytest.mark.slow
def test_when_a_node_dies_its_job_is_tried_again(disturbed, finished, saw):
    lost = disturbed["lost"]
    lost.finish()
    outcome = lost.outcome()
    assert outcome.pop(lost.held)["state"] == "NODE_FAIL"
    assert {row["state"] for row in outcome.values()} == {"COMPLETED"}
    assert BASE in hashes(lost.project)
    assert hashes(lost.project).items() <= hashes(finished).items()
    saw(
        "lost node",
        "under a training job on Slurm",
        "tried again on a node that lives; the same bytes",
    )
