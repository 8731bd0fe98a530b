"""Singular values of what adapters learned: right, in order, and what a cut leaves."""

import pytest
import torch

from minituner import evaluate
from minituner.analysis import spectra
from minituner.compute import numerics
from minituner.foundation import storage
from minituner.lora import lora_layers, wrap_minigpt_with_lora


@pytest.fixture
def adapted(model):
    wrap_minigpt_with_lora(model, 4, 8, ["q_proj", "mlp.fc1"], generator=numerics.generator(0, "t"))
    for layer in lora_layers(model).values():
        layer.lora_B.data = torch.randn(
            layer.lora_B.shape, generator=torch.Generator().manual_seed(1)
        )
    return model.eval()


def test_shares_are_of_the_whole_update_scaling_included(adapted):
    rows = list(spectra.layer_spectra(adapted))
    for name, layer in lora_layers(adapted).items():
        own = [row for row in rows if row["layer"] == name]
        assert [row["index"] for row in own] == [1, 2, 3, 4]
        assert sum(row["share"] for row in own) == pytest.approx(1)
        norm = float(layer.delta_weight().detach().norm())
        assert sum(row["value"] ** 2 for row in own) == pytest.approx(norm**2, rel=1e-5)


def test_cutting_down_keeps_the_best_approximation_and_no_more(adapted):
    layers = lora_layers(adapted)
    before = {name: layer.delta_weight().detach().clone() for name, layer in layers.items()}
    spectra.keep_directions(adapted, 4)
    for name, layer in layers.items():
        assert torch.allclose(layer.delta_weight(), before[name], atol=1e-5)
    spectra.keep_directions(adapted, 1)
    for name, layer in layers.items():
        u, s, v = torch.linalg.svd(before[name])
        best = s[0] * u[:, :1] @ v[:1]
        assert torch.allclose(layer.delta_weight(), best, atol=1e-5)


def test_the_tables_hold_every_adapter_whole_and_cut_and_the_base(
    base, model, irregular, control, tmp_path
):
    from minituner.checkpoints import checkpoint

    evaluate.evaluate_run(base, None, irregular, control, tmp_path / "runs" / "base.parquet")
    folders = []
    for rank in (1, 2):
        tuned = checkpoint.load_model(base)
        wrap_minigpt_with_lora(tuned, rank, 8, ["v_proj"], generator=numerics.generator(0, "t"))
        for layer in lora_layers(tuned).values():
            layer.lora_B.data += 0.1 * torch.arange(1, 1 + layer.lora_B.numel()).view_as(
                layer.lora_B
            )
        folders.append(tmp_path / f"lora_r{rank}_s0")
        checkpoint.save_adapter(folders[-1], tuned, base)
        out = tmp_path / "runs" / f"lora_r{rank}_s0.parquet"
        evaluate.evaluate_run(base, folders[-1], irregular, control, out)
    for out in ("one", "two"):
        spectra.report(base, folders, irregular, tmp_path / "runs", tmp_path / out)
    rows = storage.read_table(tmp_path / "one" / "truncated.parquet").to_pylist()
    assert [(row["run"], row["kept"]) for row in rows] == [
        *(("base", 0), ("lora_r1_s0", 1), ("lora_r2_s0", 2), ("lora_r2_s0", 1))
    ]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
