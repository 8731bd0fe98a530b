"""The labs as a fresh clone has them: no base was made, so the labs make a small one, here once."""

import shutil

import pytest

from minituner.labs import lab_03, material, trial
from tests.support.tiny_project import ROOT

SOLUTIONS = ROOT / "docs" / "labs" / "solutions"


@pytest.fixture(scope="package", autouse=True)
def fresh_clone(tmp_path_factory):
    """A folder with the files that git holds and that the labs read, in place of this checkout."""
    root = tmp_path_factory.mktemp("clone")
    for name in ("params.yaml", "data/verbs.csv", "data/templates.csv"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(material, "ROOT", root)
        yield root


@pytest.fixture(scope="module", autouse=True)
def nothing_loaded():
    """What a module of tests has put in place of the base is not there for the next."""
    for cached in (trial.loaded, trial.of_base, lab_03.trained_lora):
        cached.cache_clear()
