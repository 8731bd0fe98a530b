"""Small made things that several tests share: a two-layer model and a handful of sentences."""

import minituner  # noqa: F401, I001  first of all, before torch is loaded: it pins the kernels
import pyarrow as pa
import pytest
import torch
from tiny_project import finished, project  # noqa: F401  for tests/workflow and tests/faults

from minituner import data
from minituner.checkpoints import checkpoint
from minituner.compute import numerics
from minituner.foundation import storage
from minituner.model import MiniGPT, ModelConfig


def pytest_addoption(parser):
    parser.addoption("--page", action="store_true", help="write docs/reliability.md anew")


SENTENCES = [
    # verb, tense, prompt, form, rest, rivals
    ("go", "past_simple", "go: yesterday she ", "went", " to school.", ["goed", "go", "wented"]),
    ("go", "past_participle", "go: this week she has ", "gone", " home.", ["goed", "went"]),
    ("eat", "past_simple", "eat: yesterday I ", "ate", " an apple.", ["eated", "eat", "ated"]),
    ("eat", "past_participle", "eat: so far I have ", "eaten", " a cake.", ["eated", "ate"]),
    ("see", "past_simple", "see: yesterday you ", "saw", " a dog.", ["seed", "see"]),
]
CONTROL = [
    ("walk", "past_simple", "walk: yesterday she ", "walked", " home.", ["walk", "welk"]),
    ("play", "past_participle", "play: this week I have ", "played", " chess.", ["play", "plew"]),
    ("want", "present_simple", "want: every day he ", "wants", " a dog.", ["want"]),
]
VOCAB = data.vocabulary([p + f + r for _, _, p, f, r, _ in SENTENCES + CONTROL] + ["dwkmzq"])


def subset_rows(sentences, splits, probe=False):
    """Each sentence once a split, with frames that no two splits share."""
    return [
        {
            "id": f"{verb}-{tense}-{split}",
            "text": prompt + form + rest,
            "prompt": prompt,
            "form": form,
            "alternatives": rivals,
            "verb_lemma": verb,
            "tense": tense,
            "person": "3sg",
            "frame": f"{prompt}|{rest}|{split}",
            "split": split,
            "probe": probe,
        }
        for split in splits
        for verb, tense, prompt, form, rest, rivals in sentences
    ]


@pytest.fixture
def config():
    """Two layers of width 16 that know the sentences above."""
    return ModelConfig(vocab=VOCAB, n_layer=2, n_head=2, d_model=16, d_ff=32, context=64)


@pytest.fixture
def model(config):
    """A fresh model, the same in every test."""
    torch.set_num_threads(1)
    return MiniGPT(config, numerics.generator(0, "test"))


@pytest.fixture
def base(tmp_path, model):
    """A folder with that model as a base."""
    checkpoint.save_model(tmp_path / "base", model)
    return tmp_path / "base"


@pytest.fixture
def irregular(tmp_path):
    """A small irregular-verb subset with one probe row, which no split may train on."""
    rows = subset_rows(SENTENCES[:4], ("train", "val", "test"))
    rows += subset_rows(SENTENCES[4:], ("test",), probe=True)
    storage.write_table(tmp_path / "irregular.parquet", pa.Table.from_pylist(rows))
    return tmp_path / "irregular.parquet"


@pytest.fixture
def control(tmp_path):
    """A small regular-verb control set."""
    rows = [
        {k: v for k, v in row.items() if k != "probe"}
        for row in subset_rows(CONTROL, ("val", "test"))
    ]
    storage.write_table(tmp_path / "control.parquet", pa.Table.from_pylist(rows))
    return tmp_path / "control.parquet"


@pytest.fixture
def corpus(tmp_path):
    """A corpus of those sentences."""
    texts = [p + f + r for _, _, p, f, r, _ in SENTENCES + CONTROL]
    splits = ["train"] * 5 + ["val"] * 2 + ["test"]
    path = tmp_path / "corpus.parquet"
    storage.write_table(path, pa.table({"text": texts, "split": splits}))
    return path
