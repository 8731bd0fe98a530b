"""Small made things that several tests share: a two-layer model and a handful of sentences."""

import minituner  # noqa: F401, I001  first of all, before torch is loaded: it pins the kernels
import pyarrow as pa
import hypothesis
import pytest
import torch

from minituner import compute
from minituner.checkpoints.models import save_model
from minituner.foundation import parquet
from minituner.model import MiniGPT, ModelConfig
from tests.support.reliability import saw, seen, tried  # noqa: F401
from tests.support.sentences import CONTROL, SENTENCES, VOCAB, subset_rows
from tests.support.tiny_project import ROOT, finished, project  # noqa: F401

# Machines are shared, and a case that took long once is no fault.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


def pytest_addoption(parser):
    parser.addoption("--page", action="store_true", help="write docs/reliability.md anew")


# Begun first, so that no process is left alone with them at the end. The first makes the tiny
# project; meanwhile those behind it, which do without, keep the other processes busy.
LONGEST = (
    "workflow/test_reruns",
    "labs/test_solutions",
    "workflow/test_wheel",
    "compute/test_everywhere",
    "benchmarks/test_parity",
    "workflow/test_run",
    "faults/test_kills",
)


def pytest_collection_modifyitems(items):
    """Put the longest files first; mark what `pytest -m brought` runs, each test of one table."""

    def place(item):
        file = item.path.relative_to(ROOT / "tests").with_suffix("").as_posix()
        return LONGEST.index(file) if file in LONGEST else len(LONGEST)

    items.sort(key=place)
    for item in items:
        if "tried" in item.fixturenames:
            item.add_marker("brought")


@pytest.fixture
def config():
    """Two layers of width 16 that know the sentences above."""
    return ModelConfig(vocab=VOCAB, n_layer=2, n_head=2, d_model=16, d_ff=32, context=64)


@pytest.fixture
def model(config):
    """A fresh model, the same in every test."""
    torch.set_num_threads(1)
    return MiniGPT(config, compute.generator(0, "test"))


@pytest.fixture
def base(tmp_path, model):
    """A folder with that model as a base."""
    save_model(tmp_path / "base", model)
    return tmp_path / "base"


@pytest.fixture
def irregular(tmp_path):
    """A small irregular-verb subset with one row of an unseen cell, which nothing may train on."""
    rows = subset_rows(SENTENCES[:4], ("train", "val", "test"))
    rows += subset_rows(SENTENCES[4:], ("test",), "cell")
    parquet.write_table(tmp_path / "irregular.parquet", pa.Table.from_pylist(rows))
    return tmp_path / "irregular.parquet"


@pytest.fixture
def control(tmp_path):
    """A small regular-verb control set."""
    rows = subset_rows(CONTROL, ("val", "test"), "control")
    parquet.write_table(tmp_path / "control.parquet", pa.Table.from_pylist(rows))
    return tmp_path / "control.parquet"


@pytest.fixture
def corpus(tmp_path):
    """A corpus of those sentences."""
    texts = [p + f + r for _, _, p, f, r, _ in SENTENCES + CONTROL]
    splits = ["train"] * 5 + ["val"] * 2 + ["test"]
    path = tmp_path / "corpus.parquet"
    parquet.write_table(path, pa.table({"text": texts, "correct_text": texts, "split": splits}))
    return path
