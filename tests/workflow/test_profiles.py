"""The profile for clusters against the workflow."""

import re

import yaml

from tests.support.tiny_project import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# On their own: all else waits for them.
ALONE = {"base", "quantize"}
GATHER = {"trained", "qlora_trained"}


def test_every_small_rule_has_a_group():
    """A rule left out between two of a group would also close a circle that nothing can run."""
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text("utf-8"))
    rules = {
        rule
        for stage in STAGES.values()
        for rule in re.search(r"--allowed-rules ([\w ]+?) --", stage["cmd"])[1].split()
    }
    assert {entry.partition("=")[0] for entry in profile["groups"]} == rules - ALONE - GATHER
