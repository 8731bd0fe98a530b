"""What is fuzzed: each target spoils one input of a small project and has the product read it."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from minituner import data, evaluate, train
from minituner.checkpoints import checkpoint
from minituner.corpus import subsets
from minituner.corpus.generate import build
from minituner.corpus.tables import read_templates, read_verbs
from minituner.nf4 import dequantize, quantize
from minituner.workflow import settings

from . import seeds
from .mutate import HOSTILE, Choices, spoil_bytes, spoil_value

TINY = {"n_layer": 1, "n_head": 1, "d_model": 4, "d_ff": 4, "context": 64}
BASE = {"checkpoint": None, "seed": 0, "steps": 1, "batch_size": 2, "learning_rate": 0.01}
BASE |= {"warmup": 0, "weight_decay": 0.0, "eval_every": 1}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def params(seed: Path, work: Path, choose: Choices) -> None:
    text = (seed / "params.yaml").read_bytes()
    if choose.below(2):
        value = spoil_value(yaml.load(text, yaml.CSafeLoader), choose)
        text = yaml.dump(value, Dumper=yaml.SafeDumper).encode("utf-8", "replace")
    else:
        text = spoil_bytes(text, choose)
    settings.load(write(work / "params.yaml", text))


def inline(seed: Path, work: Path, choose: Choices) -> None:
    value = {"lora": {"target_modules": ["q_proj"], "alpha": 8, "dropout": 0.0}, "nf4": {}}
    value["nf4"] = {"blocksize": 64, "double_quant": False}
    if choose.below(2):
        text = json.dumps(spoil_value(value, choose))
    else:
        text = "{" + spoil_bytes(json.dumps(value).encode(), choose).decode("utf-8", "replace")
    settings.load(text, "lora", "nf4.blocksize")


def verbs(seed: Path, work: Path, choose: Choices) -> None:
    path = write(work / "verbs.csv", spoil_bytes((seed / "verbs.csv").read_bytes(), choose))
    read_verbs(path)
    build({"corpus": seeds.CORPUS}, path, seed / "templates.csv", work / "corpus.parquet")


def templates(seed: Path, work: Path, choose: Choices) -> None:
    content = spoil_bytes((seed / "templates.csv").read_bytes(), choose)
    path = write(work / "templates.csv", content)
    read_templates(path, read_verbs(seed / "verbs.csv"))
    build({"corpus": seeds.CORPUS}, seed / "verbs.csv", path, work / "corpus.parquet")


def _spoil_table(path: Path, work: Path, choose: Choices) -> Path:
    """The file's bytes spoilt, or its values, columns and types."""
    out = work / path.name
    if choose.below(2):
        return write(out, spoil_bytes(path.read_bytes(), choose))
    table = pq.read_table(path)
    column = choose.below(table.num_columns)
    name, rows = table.column_names[column], table.column(column).to_pylist()
    edit = choose.below(6)
    if edit == 0:
        table = table.drop_columns([name])
    elif edit == 1:
        table = table.slice(0, choose.below(2))
    elif edit == 2:
        table = table.append_column(name, table.column(column))
    else:
        value = choose.among(HOSTILE)
        if edit == 3 and rows:
            rows[choose.below(len(rows))] = value
        else:
            rows = [value] * len(rows)
        # What Arrow or Parquet cannot hold, as an object without members, stays as it was.
        with contextlib.suppress(pa.ArrowException, OverflowError, UnicodeError):
            kind = table.schema.field(column).type if choose.below(2) else None
            pq.write_table(table.set_column(column, name, pa.array(rows, kind)), out)
            return out
    pq.write_table(table, out)
    return out


def pretrain(corpus: Path, out: Path) -> None:
    """One step on a corpus."""
    train.pretrain({"model": TINY, "base": BASE}, corpus, out)


def warm_up(seed: Path, out: Path) -> None:
    """Use once what a library sets up at its first use, before anything is watched.

    Some make folders of their own; numba reads its machine code, kept beside Python's own compiled
    files, from pickles.
    """
    pretrain(seed / "c.parquet", out)
    dequantize(*quantize(torch.ones(64)))
    base = checkpoint.load_model(seed / "base")
    adapted = checkpoint.load_adapter(seed / "adapter", base, seed / "base").eval()
    adapted(torch.zeros(1, 1, dtype=torch.int64))


def corpus(seed: Path, work: Path, choose: Choices) -> None:
    path = _spoil_table(seed / "c.parquet", work, choose)
    if choose.below(2):
        pretrain(path, work / "out")
    else:
        out = work / "irregular.parquet", work / "control.parquet"
        subsets.build({"subsets": seeds.SUBSETS}, path, seed / "verbs.csv", *out)


def subset(seed: Path, work: Path, choose: Choices) -> None:
    paths = [seed / "irregular.parquet", seed / "control.parquet"]
    which = choose.below(2)
    paths[which] = _spoil_table(paths[which], work, choose)
    model = checkpoint.load_model(seed / "base").eval()
    evaluate.score(model, evaluate.held_out_rows(*paths))
    examples = train.tuning_examples(paths[0], "train")
    data.batch([t for t, _ in examples], model.config.vocab, [n for _, n in examples])


def _spoil_folder(seed: Path, work: Path, choose: Choices, weights: str, config: str) -> Path:
    """A copy of a checkpoint's folder with its weights or its JSON spoilt."""
    out = work / seed.name
    shutil.copytree(seed, out)
    if choose.below(2):
        write(out / weights, spoil_bytes((seed / weights).read_bytes(), choose))
    elif choose.below(2):
        write(out / config, spoil_bytes((seed / config).read_bytes(), choose))
    else:
        value = spoil_value(json.loads((seed / config).read_text()), choose)
        (out / config).write_text(json.dumps(value))
    return out


def model(seed: Path, work: Path, choose: Choices) -> None:
    folder = _spoil_folder(seed / "base", work, choose, "model.safetensors", "config.json")
    loaded = checkpoint.load_model(folder).eval()
    loaded(torch.zeros(1, 1, dtype=torch.int64))


def nf4(seed: Path, work: Path, choose: Choices) -> None:
    folder = _spoil_folder(seed / "nf4", work, choose, "model.safetensors", "config.json")
    loaded = checkpoint.load_model(folder).eval()
    loaded(torch.zeros(1, 1, dtype=torch.int64))


def quant_state(seed: Path, work: Path, choose: Choices) -> None:
    """The JSON that lies inside the NF4 file as a tensor of bytes."""
    tensors = checkpoint.load_tensors(seed / "nf4" / "model.safetensors")
    name = choose.among(sorted(n for n in tensors if n.endswith("bitsandbytes__nf4")))
    text = bytes(tensors[name].tolist())
    if choose.below(2):
        text = json.dumps(spoil_value(json.loads(text), choose)).encode()
    else:
        text = spoil_bytes(text, choose)
    tensors[name] = torch.tensor(list(text), dtype=torch.uint8)
    out = work / "nf4"
    shutil.copytree(seed / "nf4", out)
    checkpoint.save_tensors(out / "model.safetensors", tensors)
    checkpoint.load_model(out).eval()(torch.zeros(1, 1, dtype=torch.int64))


def adapter(seed: Path, work: Path, choose: Choices) -> None:
    names = "adapter_model.safetensors", "adapter_config.json"
    folder = _spoil_folder(seed / "adapter", work, choose, *names)
    loaded = checkpoint.load_adapter(folder, checkpoint.load_model(seed / "base"), seed / "base")
    loaded.eval()(torch.zeros(1, 1, dtype=torch.int64))


Target = Callable[[Path, Path, Choices], None]
TARGETS: dict[str, tuple[str, Target]] = {
    "params": ("params.yaml", params),
    "inline": ("--settings JSON", inline),
    "verbs": ("verbs.csv", verbs),
    "templates": ("templates.csv", templates),
    "corpus": ("corpus Parquet", corpus),
    "subset": ("subset Parquet", subset),
    "model": ("base: safetensors, config", model),
    "adapter": ("adapter: safetensors, config", adapter),
    "nf4": ("NF4 base: safetensors, config", nf4),
    "quant_state": ("NF4 state inside the file", quant_state),
}


def quiet(function: Callable[[], None]) -> None:
    """Call it without its prints."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        function()
