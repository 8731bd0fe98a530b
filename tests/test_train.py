"""Training changes what it should, nothing else, and the same way every time."""

import csv
import json

import pyarrow as pa
import pytest
import torch

from minituner import data, qlora, train
from minituner.checkpoints import checkpoint
from minituner.foundation import storage
from minituner.foundation.errors import UserError

TUNING = {"steps": 8, "batch_size": 4, "learning_rate": 1e-2, "warmup": 2, "eval_every": 4}
LORA = {"target_modules": ["q_proj", "v_proj"], "alpha": 4, "dropout": 0.0}
SETTINGS = {"tuning": TUNING, "lora": LORA, "full": {"learning_rate": 1e-3}}
MODEL = {"n_layer": 1, "n_head": 2, "d_model": 16, "d_ff": 32, "context": 64}
BASE = {**TUNING, "checkpoint": None, "seed": 0, "weight_decay": 0.01, "learning_rate": 1e-3}


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_the_same_seed_gives_the_same_bytes(base, irregular, tmp_path, method):
    if method == "qlora":
        settings = {"lora": LORA, "nf4": {"blocksize": 64, "double_quant": False}}
        qlora.quantize_checkpoint(settings, base, tmp_path / "nf4")
        base = tmp_path / "nf4"
    rank = None if method == "full" else 2
    for out in ("a", "b"):
        torch.rand(3)  # what was drawn before must not matter
        train.tune(SETTINGS, method, base, irregular, 1, tmp_path / out, rank)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_base_is_the_same_twice_and_learns(corpus, tmp_path):
    for out in ("a", "b"):
        settings = {"model": MODEL, "base": {**BASE, "steps": 20}}
        train.pretrain(settings, corpus, tmp_path / out)
    one, two = (tmp_path / out / "model.safetensors" for out in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()
    rows = list(csv.DictReader((tmp_path / "a" / "curve.csv").open()))
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])


def test_the_number_of_threads_changes_no_byte(corpus, tmp_path):
    for threads in (1, 2, 3):
        settings = {"model": MODEL, "base": {**BASE, "shards": 3}}
        train.pretrain(settings, corpus, tmp_path / str(threads), threads)
    one, *others = ((tmp_path / f"{n}/model.safetensors").read_bytes() for n in (1, 2, 3))
    assert others == [one, one]


def test_shards_with_dropout_are_drawn_for_in_order(base, irregular, tmp_path):
    settings = {**SETTINGS, "tuning": TUNING | {"shards": 2}, "lora": LORA | {"dropout": 0.5}}
    for threads in (1, 2):
        train.tune(settings, "lora", base, irregular, 0, tmp_path / str(threads), 2, threads)
    one, two = (tmp_path / f"{n}/adapter_model.safetensors" for n in (1, 2))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_add_up_to_the_gradients_of_the_whole_batch(model, shards):
    ids = torch.randint(0, 20, (4, 12), generator=torch.Generator().manual_seed(0))
    targets = ids.roll(-1, 1)
    targets[0, :9] = targets[3, 5:] = data.IGNORE  # sentences of unequal weight
    model.requires_grad_(True)
    parameters = list(model.parameters())
    loss = train.loss_on(model, ids, targets)
    expected = torch.autograd.grad(loss, parameters)
    assert train.gradients(model, parameters, (ids, targets), shards) == pytest.approx(loss.item())
    for parameter, gradient in zip(parameters, expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_the_test_split_is_never_read_in_pretraining(corpus, tmp_path):
    train.pretrain({"model": MODEL, "base": BASE}, corpus, tmp_path / "a")
    table = storage.read_table(corpus)
    texts = table["text"].to_pylist()
    letters = sorted(set(texts[-1]))
    texts[-1] = "".join(letters)  # other text, same characters
    storage.write_table(corpus, pa.table({"text": texts, "split": table["split"]}))
    train.pretrain({"model": MODEL, "base": BASE}, corpus, tmp_path / "b")
    one, two = (tmp_path / out / "model.safetensors" for out in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()


def test_tuning_never_reads_test_or_probe_rows(base, irregular, tmp_path):
    train.tune(SETTINGS, "lora", base, irregular, 0, tmp_path / "a", 2)
    rows = storage.read_table(irregular).to_pylist()
    storage.write_table(irregular, pa.Table.from_pylist([r for r in rows if r["split"] != "test"]))
    train.tune(SETTINGS, "lora", base, irregular, 0, tmp_path / "b", 2)
    one, two = (tmp_path / out / "adapter_model.safetensors" for out in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()


def test_a_users_base_is_checked_and_copied(corpus, base, tmp_path):
    settings = {"model": MODEL, "base": {**BASE, "checkpoint": str(base)}}
    train.pretrain(settings, corpus, tmp_path / "out")
    copied = tmp_path / "out" / "model.safetensors"
    assert copied.read_bytes() == (base / "model.safetensors").read_bytes()


def test_a_users_base_that_cannot_spell_the_corpus_is_refused_by_character(corpus, base, tmp_path):
    table = storage.read_table(corpus)
    texts = [text.replace("school", "escuéla") for text in table["text"].to_pylist()]
    storage.write_table(corpus, pa.table({"text": texts, "split": table["split"]}))
    settings = {"model": MODEL, "base": {**BASE, "checkpoint": str(base)}}
    with pytest.raises(UserError, match=r"config.json: model.vocab: lacks 'é' of .*corpus.parquet"):
        train.pretrain(settings, corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_adapter_has_only_the_adapter_in_it(base, irregular, tmp_path):
    train.tune(SETTINGS, "lora", base, irregular, 0, tmp_path / "a", 2)
    tensors = checkpoint.load_tensors(tmp_path / "a" / "adapter_model.safetensors")
    assert len(tensors) == 2 * 2 * 2  # layers × targets × (A, B)
    assert all(".lora_" in name for name in tensors)
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["r"] == 2


def test_tuning_lowers_the_loss_on_the_form(base, irregular, tmp_path):
    settings = {**SETTINGS, "tuning": {**TUNING, "steps": 60}}
    train.tune(settings, "lora", base, irregular, 0, tmp_path / "a", 4)
    rows = list(csv.DictReader((tmp_path / "a" / "curve.csv").open()))
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"]) - 0.1


def test_the_wrong_kind_of_base_is_refused(base, irregular, tmp_path):
    with pytest.raises(UserError, match="a float base does not fit method qlora"):
        train.tune(SETTINGS, "qlora", base, irregular, 0, tmp_path / "a", 2)
    assert not (tmp_path / "a").exists()


def test_a_rank_above_the_width_is_refused(base, irregular, tmp_path):
    with pytest.raises(UserError, match="rank 17 is outside 1 … 16"):
        train.tune(SETTINGS, "lora", base, irregular, 0, tmp_path / "a", 17)


def test_a_diverging_run_says_so_and_leaves_nothing(base, irregular, tmp_path):
    settings = {**SETTINGS, "full": {"learning_rate": 1e30}}
    with pytest.raises(UserError, match="the loss is .*; lower the learning_rate"):
        train.tune(settings, "full", base, irregular, 0, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_training_with_nothing_trainable_is_an_error(model):
    model.requires_grad_(False)
    with pytest.raises(UserError, match="no parameter is trainable"):
        train.fit(model, iter(()), [], TUNING)


def test_the_learning_rate_warms_up_and_decays_to_a_tenth():
    rates = [train.learning_rate_at(step, 100, 10, 1.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


@pytest.mark.parametrize("masked", ["behind", "scattered", "nothing"])
def test_skipping_what_no_target_needs_changes_no_loss_and_no_gradient(model, masked):
    ids = torch.randint(0, 20, (3, 12), generator=torch.Generator().manual_seed(0))
    targets = ids.roll(-1, 1)
    if masked != "nothing":
        targets[:, 9:] = targets[0, 4:] = data.IGNORE
    if masked == "scattered":
        targets[:, ::2] = targets[2] = data.IGNORE
    model.requires_grad_(True)
    gradients = []
    whole = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    for loss in (whole, train.loss_on(model, ids, targets)):
        model.zero_grad()
        loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert torch.allclose(loss, whole, atol=1e-6)
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
