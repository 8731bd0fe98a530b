"""What is fuzzed: each target spoils one input of a small project and has the product read it."""

import contextlib
import importlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from minituner import compute, data, evaluate
from minituner.checkpoints.adapters import load_adapter
from minituner.checkpoints.models import load_model, load_tensors, save_tensors
from minituner.corpus import subsets
from minituner.corpus.tables import read_templates, read_verbs
from minituner.model import MiniGPT
from minituner.workflow import settings
from tests.fuzz import seeds
from tests.fuzz.mutate import HOSTILE, Choices, spoil_bytes, spoil_value
from tests.support.command import call

# What commands import only once they run is imported here, where coverage is told of it.
for name in (
    *("commands.base", "commands.corpus", "commands.subsets", "compute.accelerated"),
    *("checkpoints.resume", "corpus.generate", "foundation.progress", "train"),
):
    importlib.import_module(f"minituner.{name}")

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


def generate(verbs: Path, templates: Path, work: Path) -> None:
    """The corpus of two tables."""
    out = work / "corpus.parquet"
    call("corpus", given={"corpus": seeds.CORPUS}, verbs=verbs, templates=templates, out=out)


def verbs(seed: Path, work: Path, choose: Choices) -> None:
    path = write(work / "verbs.csv", spoil_bytes((seed / "verbs.csv").read_bytes(), choose))
    read_verbs(path)
    generate(path, seed / "templates.csv", work)


def templates(seed: Path, work: Path, choose: Choices) -> None:
    content = spoil_bytes((seed / "templates.csv").read_bytes(), choose)
    path = write(work / "templates.csv", content)
    read_templates(path, read_verbs(seed / "verbs.csv"))
    generate(seed / "verbs.csv", path, work)


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
    call("base", given={"model": TINY, "base": BASE}, corpus=corpus, out=out)


def ask(model: MiniGPT) -> None:
    """The logits behind one symbol."""
    compute.accelerate(model.eval())(torch.zeros(1, 1, dtype=torch.int64))


def warm_up(seed: Path, out: Path) -> None:
    """Use once what a library sets up at its first use, before anything is watched.

    Some make folders of their own; numba reads its machine code, kept beside Python's own compiled
    files, from pickles.
    """
    pretrain(seed / "c.parquet", out)
    compute.dequantize(*compute.quantize(torch.ones(64)))
    ask(load_adapter(seed / "adapter", load_model(seed / "base"), seed / "base"))
    ask(load_model(seed / "nf4"))
    score(seed, seed / "irregular.parquet", seed / "control.parquet")


def corpus(seed: Path, work: Path, choose: Choices) -> None:
    path = _spoil_table(seed / "c.parquet", work, choose)
    if choose.below(2):
        pretrain(path, work / "out")
    else:
        call(
            "subsets",
            given={"subsets": seeds.SUBSETS},
            corpus=path,
            verbs=seed / "verbs.csv",
            irregular=work / "irregular.parquet",
            control=work / "control.parquet",
        )


def subset(seed: Path, work: Path, choose: Choices) -> None:
    paths = [seed / "irregular.parquet", seed / "control.parquet"]
    which = choose.below(2)
    paths[which] = _spoil_table(paths[which], work, choose)
    score(seed, *paths)


def score(seed: Path, irregular: Path, control: Path) -> None:
    """What evaluating and tuning read of both subsets."""
    model = compute.accelerate(load_model(seed / "base").eval())
    evaluate.score_rows(model.score, subsets.read_held_out(irregular, control))
    examples = data.completions(subsets.read_irregular(irregular, "train"))
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
    ask(load_model(folder))


def nf4(seed: Path, work: Path, choose: Choices) -> None:
    folder = _spoil_folder(seed / "nf4", work, choose, "model.safetensors", "config.json")
    ask(load_model(folder))


def quant_state(seed: Path, work: Path, choose: Choices) -> None:
    """The JSON that lies inside the NF4 file as a tensor of bytes."""
    tensors = load_tensors(seed / "nf4" / "model.safetensors")
    name = choose.among(sorted(n for n in tensors if n.endswith("bitsandbytes__nf4")))
    text = bytes(tensors[name].tolist())
    if choose.below(2):
        text = json.dumps(spoil_value(json.loads(text), choose)).encode()
    else:
        text = spoil_bytes(text, choose)
    tensors[name] = torch.tensor(list(text), dtype=torch.uint8)
    out = work / "nf4"
    shutil.copytree(seed / "nf4", out)
    save_tensors(out / "model.safetensors", tensors)
    ask(load_model(out))


def adapter(seed: Path, work: Path, choose: Choices) -> None:
    names = "adapter_model.safetensors", "adapter_config.json"
    folder = _spoil_folder(seed / "adapter", work, choose, *names)
    ask(load_adapter(folder, load_model(seed / "base"), seed / "base"))


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
