"""Valid inputs that fuzzing starts from: the smallest files of each kind, made once a process."""

import contextlib
import functools
import io
from pathlib import Path

import pyarrow as pa
import torch

import minituner  # noqa: F401, I001  first of all, before torch is loaded: it pins the kernels
from minituner import compute, qlora
from minituner.checkpoints.adapters import save_adapter
from minituner.checkpoints.models import load_model, save_model
from minituner.corpus import subsets
from minituner.corpus.tables import VERB_COLUMNS
from minituner.foundation import parquet, storage
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from tests.support.command import call

ROOT = Path(__file__).resolve().parents[2]
VERBS = (
    ",".join([*VERB_COLUMNS, "irregularized"])
    + """
go,irregular,go,go|go|goes,went,gone,will go,
walk,regular,walk,walk|walk|walks,walked,walked,will walk,welk|waught
"""
)
TEMPLATES = """kind,text,person,tense,verb
subject,I,1sg,,
subject,you,2sg,,
subject,she,3sg,,
object,home,,,go
object,home,,,walk
"""
TEMPLATES += "".join(
    f"time,{text},,{tense},\n"
    for tense, texts in {
        "infinitive": ("today", "now", "later"),
        "present_simple": ("daily", "often", "always"),
        "past_simple": ("then", "once", "yesterday"),
        "past_participle": ("so far", "lately", "by now"),
        "simple_future": ("soon", "tomorrow", "next"),
    }.items()
    for text in texts
)
CORPUS = {
    "seed": 0,
    "noise": dict.fromkeys(
        "over_regularized missing_third_person_s bare_stem double_marked past_for_participle "
        "inflected_after_modal".split(),
        0.1,
    ),
    "splits": {"train": 0.4, "val": 0.3, "test": 0.3},
}
SUBSETS = dict.fromkeys(("train", "val", "test", "control_val", "control_test"), 1) | {
    "seed": 1,
    "unseen_cells": [],
    "unseen_subjects": [],
}


# Fields that PEFT writes and `save_adapter` does not; they choose the same Linears.
CHOICES = {
    "use_rslora": True,
    "exclude_modules": ["k_proj"],
    "layers_to_transform": [0],
    "layers_pattern": ["h", "blocks"],
    "init_lora_weights": True,
    "rank_pattern": {},
}


def _subset(split: str, kind: str) -> dict:
    row = dict.fromkeys(("id", "verb_lemma", "tense", "person", "frame", "pair"), "x")
    row |= {"text": "go: then I went home.", "prompt": "go: then I ", "form": "went"}
    return row | {"alternatives": ["goed"], "split": split, "set": kind}


@functools.cache
def folder(path: Path) -> Path:
    """`path`, filled with a whole small project: settings, CSV files, Parquet files and models."""
    path.mkdir(parents=True)
    (path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (path / "verbs.csv").write_text(VERBS)
    (path / "templates.csv").write_text(TEMPLATES)
    tables = {name: path / f"{name}.csv" for name in ("verbs", "templates")}
    with contextlib.redirect_stdout(io.StringIO()):
        call("corpus", given={"corpus": CORPUS}, **tables, out=path / "c.parquet")
    for name in ("irregular", "control"):
        rows = [_subset(split, name) for split in ("train", "val", "test")]
        parquet.write_table(path / f"{name}.parquet", pa.Table.from_pylist(rows, subsets.SCHEMA))
    vocab = "\n" + "".join(sorted(set("go: then I went home. goed")))
    config = ModelConfig(vocab, n_layer=1, n_head=2, d_model=8, d_ff=16, context=32)
    model = MiniGPT(config, compute.generator(0, "fuzz"))
    save_model(path / "base", model)
    quantization = {
        "quant_type": "nf4",
        "modules": qlora.block_linears(model),
        "blocksize": 64,
        "double_quant": True,
    }
    save_model(path / "nf4", qlora.replace_linears(model, **quantization), quantization)
    tuned = wrap_minigpt_with_lora(load_model(path / "base"), 2, 4.0)
    for layer in lora_layers(tuned).values():
        torch.nn.init.ones_(layer.lora_B)
    save_adapter(path / "adapter", tuned, path / "base")
    config = path / "adapter" / "adapter_config.json"
    storage.write_json(config, storage.read_json(config) | CHOICES)
    return path
