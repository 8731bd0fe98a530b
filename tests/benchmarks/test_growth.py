"""The growth benchmark's corpora are larger ones of the same project."""

from benchmarks.growth.__main__ import ROOT, larger_templates
from minituner.corpus import tables
from minituner.workflow import settings


def subjects(path):
    """All that a table of templates has."""
    found = tables.read_templates(path, tables.read_verbs(ROOT / "data/verbs.csv"))
    return [subject for of_person in found.subjects.values() for subject in of_person]


def test_a_larger_corpus_keeps_the_subjects_that_the_settings_name(tmp_path):
    before = subjects(ROOT / "data/templates.csv")
    made = larger_templates(1_000, 10 * len(before), tmp_path / "templates.csv")
    after = subjects(tmp_path / "templates.csv")
    assert made == 10 * len(after) == 1_000
    named = settings.load(ROOT / "params.yaml", "subsets.unseen_subjects")
    assert {*before, *named["subsets"]["unseen_subjects"]} <= set(after)
