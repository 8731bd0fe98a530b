"""What people have in place of a model's or an adapter's files is named; the remedy works."""

import contextlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import torch

from minituner.checkpoints.adapters import load_adapter, save_adapter
from minituner.checkpoints.models import load_model, load_tensors, save_tensors
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, wrap_minigpt_with_lora

ADAPTER, BASE = "adapter_model.safetensors", "model.safetensors"


@pytest.fixture
def adapter(base, tmp_path):
    """An adapter, moved away from its start, made for `base`."""
    model = wrap_minigpt_with_lora(load_model(base), r=2)
    for layer in lora_layers(model).values():
        torch.nn.init.normal_(layer.lora_B)
    save_adapter(tmp_path / "adapter", model, base)
    return tmp_path / "adapter"


def logits(base, adapter=None):
    model = load_model(base)
    if adapter:
        load_adapter(adapter, model, base)
    return model(torch.arange(20).view(2, 10))


def message(base, adapter=None):
    with pytest.raises(UserError) as error:
        logits(base, adapter)
    return " ".join(str(error.value).split())


def command_of(said):
    """The command that a message ends with."""
    return re.search(r'python -c ".*"$', said)[0]


def follow(said, folder):
    """Do what that command does, in this process, since it takes seconds to import torch."""
    with contextlib.chdir(folder):
        exec(shlex.split(command_of(said))[-1], {})


def test_a_remedy_is_a_command_of_the_shell(base):
    expected = logits(base)
    tensors = load_tensors(base / BASE)
    (base / BASE).unlink()
    pickled(base / "pytorch_model.bin", tensors)
    command = command_of(message(base)).replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, cwd=base, check=True)
    assert torch.equal(logits(base), expected)


def in_parts(folder, weights, save, ending):
    """Put two parts and their index in place of a file of weights."""
    tensors = load_tensors(folder / weights)
    (folder / weights).unlink()
    stem, names = weights.partition(".")[0], sorted(tensors)
    for number, part in enumerate((names[::2], names[1::2]), 1):
        path = folder / f"{stem}-{number:05}-of-00002{ending}"
        save(path, {name: tensors[name] for name in part})
    (folder / f"{stem}{ending}.index.json").write_text("{}")


def pickled(path, tensors):
    torch.save(tensors, path)


@pytest.mark.parametrize("whose", [ADAPTER, BASE])
@pytest.mark.parametrize("ending", [".bin", ".pt", ".pth", ".ckpt"])
def test_a_pickle_is_named_and_not_read_and_its_remedy_works(base, adapter, whose, ending, tried):
    folder, expected = base if whose == BASE else adapter, logits(base, adapter)
    pickled(folder / f"a_model{ending}", load_tensors(folder / whose))
    pickled(folder / "optimizer.pt", {})
    (folder / whose).unlink()
    said = message(base, adapter)
    assert f"no {whose}, but a pickle, a_model{ending}, which could run programs" in said
    follow(said, folder)
    assert torch.equal(logits(base, adapter), expected)
    tried("weights in a pickle", "", "not read; named, with a remedy that works")


@pytest.mark.parametrize("whose", [ADAPTER, BASE])
@pytest.mark.parametrize(
    ("save", "ending", "what"),
    [(save_tensors, ".safetensors", "2 parts of it"), (pickled, ".bin", "a pickle")],
)
def test_parts_are_named_and_joined_by_the_remedy(base, adapter, whose, save, ending, what, tried):
    folder, expected = base if whose == BASE else adapter, logits(base, adapter)
    in_parts(folder, whose, save, ending)
    said = message(base, adapter)
    assert what in said
    follow(said, folder)
    assert torch.equal(logits(base, adapter), expected)
    tried("weights in several files with an index", "", "named, with a remedy that works")


def test_an_index_without_its_parts_is_named(base, adapter):
    in_parts(adapter, ADAPTER, save_tensors, ".safetensors")
    for part in adapter.glob("*-of-*"):
        part.unlink()
    assert "an index of parts that are not there; fetch them" in message(base, adapter)


def test_a_name_that_means_something_to_a_shell_is_in_no_command(base, adapter):
    pickled(adapter / "$(touch pwned)'.bin", load_tensors(adapter / ADAPTER))
    (adapter / ADAPTER).unlink()
    assert "no such file" in message(base, adapter)


def test_weights_under_another_name_are_named(base, adapter):
    (adapter / ADAPTER).rename(adapter / "pytorch_lora_weights.safetensors")
    said = message(base, adapter)
    assert "but pytorch_lora_weights.safetensors; rename it if it is the same" in said


def test_an_adapter_in_a_folder_below_is_named(base, adapter):
    for name in ("checkpoint-20", "checkpoint-10"):
        shutil.copytree(adapter, adapter.parent / "tuned" / name)
    said = message(base, adapter.parent / "tuned")
    assert "no adapter_config.json here, but in checkpoint-10, checkpoint-20; name that" in said


def test_a_file_in_place_of_its_folder_is_named(base, adapter):
    assert "a file; name the folder that holds it" in message(base, adapter / ADAPTER)


def test_where_nothing_else_is_there_the_missing_file_is_named(base, adapter):
    (adapter / ADAPTER).unlink()
    assert f"{ADAPTER}: no such file; run the stage that makes it" in message(base, adapter)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace(".weight", ".default.weight"),
        lambda name: name.replace(".weight", ".somebody.weight"),
        lambda name: name.replace("base_model.model.", "base_model.model.model."),
        lambda name: name.replace("base_model.model.", ""),
        lambda name: f"module.{name}",
        lambda name: name.replace("base_model.model.", "base_model.model._orig_mod."),
        lambda name: f"_orig_mod.{name.replace('.weight', '.default.weight')}",
    ],
)
def test_names_of_another_way_of_saving_are_named_and_renamed_by_the_remedy(
    base, adapter, rename, tried
):
    expected, tensors = logits(base, adapter), load_tensors(adapter / ADAPTER)
    (adapter / ADAPTER).unlink()
    save_tensors(adapter / ADAPTER, {rename(name): tensor for name, tensor in tensors.items()})
    said = message(base, adapter)
    assert ": stands for base_model.model.blocks." in said
    shutil.rmtree(adapter / ".provenance", ignore_errors=True)
    follow(said, adapter)
    assert torch.equal(logits(base, adapter), expected)
    kind = "an adapter's tensors with another prefix, or `.default`"
    tried(kind, "huggingface/peft#1579", "named, with a remedy that works")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("whose", [ADAPTER, BASE])
def test_floats_of_8_bits_are_named(base, adapter, whose, dtype, tried):
    path = (base if whose == BASE else adapter) / whose
    tensors = {name: tensor.to(dtype) for name, tensor in load_tensors(path).items()}
    path.unlink()
    save_tensors(path, tensors)
    assert f"holds {dtype}, whose scales are kept elsewhere" in message(base, adapter)
    tried("weights in floats of 8 bits", "", "named with the remedy")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("whose", [ADAPTER, BASE])
def test_other_floats_are_read(base, adapter, whose, dtype):
    """The adapter names the base by its file's hash, which another dtype changes."""
    (adapter / "adapter_config.json").write_text(
        (adapter / "adapter_config.json").read_text().replace('"revision": "', '"task_type": "')
    )
    expected, path = logits(base, adapter), (base if whose == BASE else adapter) / whose
    tensors = {name: tensor.to(dtype) for name, tensor in load_tensors(path).items()}
    path.unlink()
    save_tensors(path, tensors)
    assert torch.allclose(logits(base, adapter), expected, atol=0.1)
