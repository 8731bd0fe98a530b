"""Nothing that a file says runs, takes memory unasked or writes elsewhere."""

import gzip
import json
import re
import shutil
import struct
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from minituner.checkpoints.adapters import load_adapter, save_adapter
from minituner.checkpoints.models import load_model
from minituner.checkpoints.peft_fields import check_pattern
from minituner.corpus.tables import read_verbs
from minituner.foundation import parquet, storage
from minituner.foundation.errors import UserError
from minituner.foundation.text import LIMIT, read_text
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from minituner.workflow import settings
from tests.support.tiny_project import ROOT

PRODUCT = [*(ROOT / "minituner").rglob("*.py")]
SOURCES = [
    *PRODUCT,
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "rules").rglob("*.smk"),
    ROOT / "Snakefile",
]


def places(pattern, paths):
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_nothing_goes_through_pickle():
    pickles = r"\b(c?[pP]ickle|dill|cloudpickle|joblib|shelve|marshal)\b(?! nor| is)(?=\.|$| as)"
    assert not places(
        rf"^\s*(import|from)\s.*\b(pickle|dill|joblib|shelve|marshal)\b|{pickles}\w*\(", SOURCES
    )
    assert not places(r"(?<!safetensors\.)torch\.(load|save)\((?!.*weights_only=True)", SOURCES)
    assert not places(
        r"np\.load\(|allow_pickle|read_pickle|to_pickle|yaml\.(unsafe_)?load\(\w+\)", SOURCES
    )


def test_nothing_of_a_users_reaches_a_shell():
    """But for a lab's check: it runs the file that its own learner wrote, as Python would."""
    others = [path for path in SOURCES if path.parts[-2:] != ("labs", "work.py")]
    assert len(others) == len(SOURCES) - 1
    assert not places(r"shell=True|os\.system|os\.popen|(?<![.\w])(eval|exec)\(", others)


def test_every_file_is_written_through_storage_atomic():
    """But for a log, which grows line by line, and dvc.yaml: sources.py replaces it by itself.

    The Snakefile imports sources.py, so it stays light.
    """
    writers = (
        r"open\([^)]*['\"][wax]b?\+?['\"]|\.write_text\(|\.write_bytes\(|to_csv\(|to_parquet\("
    )
    allowed = ("storage.", "temporary.", "new.write_text", "lock", "NamedTemporary", " as log:")
    for place in places(writers, PRODUCT):
        name, number = place.split(":")
        line = (ROOT / name).read_text(encoding="utf-8").splitlines()[int(number) - 1]
        assert any(word in line for word in allowed), f"{place}: {line.strip()}"


@pytest.mark.parametrize("lemma", ["; rm -rf x", "$(touch pwned)", "../../x", "--help"])
def test_a_verb_is_a_word_and_nothing_else(tmp_path, lemma):
    text = (ROOT / "data" / "verbs.csv").read_text(encoding="utf-8").replace("\nbe,", f"\n{lemma},")
    (tmp_path / "verbs.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="row 2: lemma: .* lower-case letters"):
        read_verbs(tmp_path / "verbs.csv")


@pytest.mark.parametrize(
    "name", ["checkpoints/..", "checkpoints/a/../../x", "checkpoints/; rm -rf x", "checkpoints/a\n"]
)
def test_a_base_of_the_users_lies_in_its_folder(name):
    config = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    config["base"]["checkpoint"] = name
    with pytest.raises(UserError, match="base.checkpoint: .* does not match"):
        settings.validate(config)


def test_the_name_of_a_file_reaches_its_command_as_one_word(tmp_path):
    """The rule's own quoting, asked of Snakemake; nothing is run but the corpus."""
    name = "data/v; touch pwned; $(touch pwned) '.csv"
    parts = "Snakefile rules minituner data profiles params.yaml environment.yml"
    for part in parts.split():
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("*.parquet", ".provenance", "__pycache__")
            shutil.copytree(source, tmp_path / part, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / part)
    (tmp_path / "data" / "verbs.csv").rename(tmp_path / name)
    config = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    config["corpus"]["verbs"] = name
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "data/corpus.parquet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "corpus.parquet").is_file()
    assert not list(tmp_path.rglob("pwned"))


def test_a_pipe_or_a_huge_file_is_not_read(tmp_path):
    with pytest.raises(UserError, match="not a regular file"):
        read_text("/dev/zero", "name a file")
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(LIMIT + 1)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(LIMIT + 1)))
    for name in ("huge", "bomb.gz"):
        with pytest.raises(UserError, match="more than 16 MiB of text; .* from .parquet"):
            read_text(tmp_path / name, "name a file")


@pytest.mark.parametrize(
    "text", ["a: &x [1]\nb: [*x, *x]", "[" * 5000, "d: 2020-13-45", "x: " + "9" * 5000]
)
def test_yaml_that_would_explode_is_refused(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(UserError):
        settings.load(tmp_path / "p.yaml")


@pytest.mark.parametrize("field", ["n_layer", "d_model", "d_ff", "context"])
def test_a_shape_that_the_weights_cannot_hold_takes_no_memory(base, field):
    config = storage.read_json(base / "config.json")
    config["model"][field] = 10**9
    storage.write_json(base / "config.json", config)
    started = time.monotonic()
    with pytest.raises(UserError, match="more parameters than|does not divide"):
        load_model(base)
    assert time.monotonic() - started < 5


def test_the_parameters_of_a_shape_are_known_without_making_it(model):
    assert model.config.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("claimed", [2**62, 2**40, 10**8])
def test_a_header_longer_than_its_file_takes_no_memory(base, claimed):
    path = base / "model.safetensors"
    path.write_bytes(struct.pack("<Q", claimed) + path.read_bytes()[8:])
    with pytest.raises(UserError, match="truncated or not safetensors|damaged"):
        load_model(base)


def test_a_small_parquet_file_that_unpacks_to_gigabytes_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_BYTES", 1 << 20)
    table = pa.table({"text": pa.array(["x" * 10_000] * 1000)})
    pq.write_table(table, tmp_path / "bomb.parquet", compression="zstd")
    assert (tmp_path / "bomb.parquet").stat().st_size < 10_000
    with pytest.raises(UserError, match="more than .* bytes"):
        parquet.read_table(tmp_path / "bomb.parquet", ["text"])


@pytest.mark.parametrize("fields", [{"r": 10**9}, {"r": True}, {"lora_alpha": 10**400}])
def test_an_adapter_that_claims_the_impossible_is_refused(base, tmp_path, model, fields):
    wrap_minigpt_with_lora(model, 2, 4.0)
    save_adapter(tmp_path / "adapter", model, base)
    config = storage.read_json(tmp_path / "adapter" / "adapter_config.json") | fields
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="adapter_config.json: "):
        load_adapter(tmp_path / "adapter", load_model(base), base)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*)*x", ".*" * 20])
def test_a_pattern_that_would_never_end_is_refused(base, tmp_path, model, pattern):
    with pytest.raises(UserError, match="for ever"):
        check_pattern(pattern)
    wrap_minigpt_with_lora(model, 2, 4.0)
    for layer in lora_layers(model).values():
        torch.nn.init.ones_(layer.lora_B)
    save_adapter(tmp_path / "adapter", model, base)
    load_adapter(tmp_path / "adapter", load_model(base), base)
    config = storage.read_json(tmp_path / "adapter" / "adapter_config.json")
    config["target_modules"] = pattern
    storage.write_json(tmp_path / "adapter" / "adapter_config.json", config)
    with pytest.raises(UserError, match="for ever"):
        load_adapter(tmp_path / "adapter", load_model(base), base)


def test_a_few_hundred_random_cases_of_every_parser_end_well():
    """`make fuzz` tries 100,000."""
    command = [sys.executable, "-m", "tests.fuzz", "--cases", "500"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
