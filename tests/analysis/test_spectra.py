"""Singular values of what adapters learned: right, in order, and what a cut leaves."""

import pytest
import torch

from minituner import compute
from minituner.analysis import spectra
from minituner.checkpoints.adapters import save_adapter
from minituner.checkpoints.models import load_model
from minituner.foundation import parquet
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from tests.support.command import call


@pytest.fixture
def adapted(model):
    wrap_minigpt_with_lora(model, 4, 8, ["q_proj", "mlp.fc1"], generator=compute.generator(0, "t"))
    for layer in lora_layers(model).values():
        layer.lora_B.data = torch.randn(
            layer.lora_B.shape, generator=torch.Generator().manual_seed(1)
        )
    return model.eval()


def test_shares_are_of_the_whole_update_scaling_included(adapted):
    rows = list(spectra.layer_spectra(adapted))
    for name, layer in lora_layers(adapted).items():
        of_layer = [row for row in rows if row["layer"] == name]
        assert [row["index"] for row in of_layer] == [1, 2, 3, 4]
        assert sum(row["share"] for row in of_layer) == pytest.approx(1)
        norm = float(layer.delta_weight().detach().norm())
        assert sum(row["value"] ** 2 for row in of_layer) == pytest.approx(norm**2, rel=1e-5)


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
    subsets = {"irregular": irregular, "control": control}
    call("evaluate", base=base, **subsets, out=tmp_path / "runs" / "base.parquet")
    folders = []
    for rank in (1, 2):
        tuned = load_model(base)
        wrap_minigpt_with_lora(tuned, rank, 8, ["v_proj"], generator=compute.generator(0, "t"))
        for layer in lora_layers(tuned).values():
            layer.lora_B.data += 0.1 * torch.arange(1, 1 + layer.lora_B.numel()).view_as(
                layer.lora_B
            )
        folders.append(tmp_path / f"lora_r{rank}_s0")
        save_adapter(folders[-1], tuned, base)
        out = tmp_path / "runs" / f"lora_r{rank}_s0.parquet"
        call("evaluate", base=base, adapter=folders[-1], **subsets, out=out)
    paths = {"base": base, "adapters": folders, "irregular": irregular}
    for out in ("one", "two"):
        call("spectra", **paths, evaluate=tmp_path / "runs", out=tmp_path / out)
    rows = parquet.read_table(tmp_path / "one" / "truncated.parquet").to_pylist()
    assert [(row["run"], row["kept"]) for row in rows] == [
        *(("base", 0), ("lora_r1_s0", 1), ("lora_r2_s0", 2), ("lora_r2_s0", 1))
    ]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
