"""A full disk and a read-only folder: the old file stays, nothing half-written, one line."""

import subprocess
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from minituner.checkpoints.models import save_tensors
from minituner.checkpoints.resume import Resume
from minituner.compute import AdamW
from minituner.foundation import parquet, storage
from minituner.reporting import style
from minituner.workflow import cli
from tests.faults.conftest import finish, mounted, remove

BIG = 100_000  # bytes, more than the small disk holds


def resumed(folder):
    parameter = torch.nn.Parameter(torch.randn(BIG))
    optimizer = AdamW([{"params": [parameter]}], lr=0.1)
    parameter.grad = torch.ones(BIG)
    optimizer.step()
    with Resume(folder / "base", []) as resume:
        resume._saved = -1e9
        resume.save(1, optimizer, [])


def figure(folder):
    picture = Figure()
    picture.subplots().imshow(torch.rand(300, 300).tolist())
    style.save(picture, folder / "old", Path(__file__))


WRITES = {
    "text": lambda folder: storage.write_text(folder / "old.md", "x" * BIG),
    "JSON": lambda folder: storage.write_json(folder / "old.json", ["x" * BIG]),
    "Parquet": lambda folder: parquet.write_table(
        folder / "old.parquet", {"a": torch.randint(1 << 60, (BIG,)).tolist()}
    ),
    "CSV": lambda folder: parquet.write_table(folder / "old.csv", {"a": ["x" * BIG]}),
    "curve": lambda folder: storage.write_rows(folder / "old.csv", [{"a": "x" * BIG}]),
    "safetensors": lambda folder: save_tensors(folder / "old.safetensors", {"a": torch.rand(BIG)}),
    "figure": figure,
    "training checkpoint": resumed,
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_full_disk_costs_no_old_file_and_leaves_no_half(small_disk, kind, saw):
    for name in ("md", "json", "parquet", "csv", "safetensors", "png", "svg"):
        (small_disk / f"old.{name}").write_text("old")
    with pytest.raises(OSError) as caught:
        WRITES[kind](small_disk)
    assert caught.value.errno == 28 and caught.value.filename.startswith(str(small_disk))
    left = [path for path in small_disk.rglob("*") if path.is_file()]
    assert len(left) == 7 and all(path.read_text() == "old" for path in left)
    saw("full disk", f"while writing {kind}", "old file whole, no half file, file named")


def test_a_full_disk_is_one_line_with_the_remedy(small_disk, project, capsys, monkeypatch):
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(cli, "check_checkout", lambda: None)  # the code is not the copy's
    (small_disk / "filler").write_bytes(b"x" * 60_000)
    out = small_disk / "corpus.parquet"
    tables = ["--verbs", "data/verbs.csv", "--templates", "data/templates.csv"]
    assert cli.main(["corpus", *tables, "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"minituner: error: {out}: No space left on device; free some space and run again\n"
    )


@pytest.mark.long
def test_a_workflow_on_a_full_disk_goes_on_once_there_is_space(project, recorded, saw):
    folder = project.root / "results" / "train" / "lora_r2_s0"
    remove(project, "results/train/lora_r2_s0/*")
    mounted(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], folder)
    try:
        (folder / "filler").write_bytes(b"x" * (12 << 10))
        done = project.run("snakemake", "trained", ok=False)
        assert done.returncode != 0
        assert "No space left on device; free some space and run again" in done.stdout
    finally:
        subprocess.run(["umount", folder], check=True)
    finish(project, recorded)
    saw("full disk", "during `snakemake all`", "one line; once space is free, the same bytes")


@pytest.mark.parametrize("folder", ["results", "data", ".snakemake"])
def test_a_read_only_folder_is_one_line_with_the_remedy(project, folder, saw):
    project.set("definition_of_done", perplexity_drift=999)
    place = project.root / folder
    mounted(["mount", "--bind", place, place], place)
    try:
        mounted(["mount", "-o", "remount,ro,bind", place], place)
        done = project.run("snakemake", "all", ok=False)
    finally:
        subprocess.run(["umount", place], check=True)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    said = f"minituner: error: {folder}: read-only; make the folder writable and run again"
    assert said in done.stdout
    saw("read-only folder", f"{folder}/", "one line before any job runs")
