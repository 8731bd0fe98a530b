"""The tables of this project's own corpus, and settings to make it under."""

from minituner.corpus import tables
from tests.support.tiny_project import ROOT

DATA = ROOT / "data"
NOISE = {
    "over_regularized": 0.55,
    "missing_third_person_s": 0.15,
    "bare_stem": 0.05,
    "double_marked": 0.05,
    "past_for_participle": 0.1,
    "inflected_after_modal": 0.1,
}
SECTION = {
    "verbs": "verbs.csv",
    "templates": "templates.csv",
    "seed": 0,
    "noise": NOISE,
    "splits": {"train": 0.7, "val": 0.1, "test": 0.2},
}
VERBS = tables.read_verbs(DATA / "verbs.csv")
TEMPLATES = tables.read_templates(DATA / "templates.csv", VERBS)
