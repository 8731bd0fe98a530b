"""Truncated or bit-flipped files: caught before use, named, with the remedy."""

import os

import pytest

from tests.faults.conftest import finish

VICTIMS = {
    # what: (file, a later result that reads it)
    "corpus": ("data/corpus.parquet", "data/irregular.parquet"),
    "irregular subset": ("data/irregular.parquet", "results/train/lora_r1_s0/curve.csv"),
    "base": ("results/base/model.safetensors", "results/evaluate/runs/base.parquet"),
    "base's config": ("results/base/config.json", "results/evaluate/runs/base.parquet"),
    "adapter": (
        "results/train/lora_r1_s0/adapter_model.safetensors",
        "results/evaluate/runs/lora_r1_s0.parquet",
    ),
    "NF4 base": ("results/nf4/model.safetensors", "results/evaluate/runs/nf4.parquet"),
}


def truncate(content):
    return content[: len(content) // 2]


def flip(content):
    """One bit in the last third, where the data of safetensors and Parquet lie."""
    at = len(content) * 2 // 3
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_file_is_caught_before_use_and_named(project, tmp_path, damage, saw, monkeypatch):
    """As a failing disk does it: size or bits change, the times do not."""
    from minituner.workflow import cli

    monkeypatch.setattr(cli, "check_checkout", lambda: None)  # the code is not the copy's
    here = os.getcwd()
    for what, (name, reader) in VICTIMS.items():
        path = project.root / name
        content, times = path.read_bytes(), path.stat()
        os.chdir(project.root)
        try:
            path.write_bytes(damage(content))
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            status, said = read(cli, reader, tmp_path)
        finally:
            path.write_bytes(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            os.chdir(here)
        assert status == 2, (what, said)
        assert said.startswith(f"minituner: error: {name}") and "; " in said, said
        assert said.count("\n") == 1 and "again" in said
        kind = "truncated" if damage is truncate else "one bit flipped"
        saw(kind, what, "caught before use, named, with the remedy")


def read(cli, reader, out):
    """Run the subcommand that makes a result, as its rule does, but write elsewhere."""
    import contextlib
    import io

    subsets = ["--irregular", "data/irregular.parquet"]
    both = [*subsets, "--control", "data/control.parquet"]
    run = reader.split("/")[-1].removesuffix(".parquet")
    if reader == "data/irregular.parquet":
        command = ["subsets", "--corpus", "data/corpus.parquet", "--verbs", "data/verbs.csv"]
        command += ["--irregular", out / "i.parquet", "--control", out / "c.parquet"]
    elif reader.endswith("curve.csv"):
        command = ["train", "--base", "results/base", *subsets, "--method", "lora", "--rank", "1"]
        command += ["--seed", "0", "--out", out / "run"]
    else:
        base = "results/nf4" if run == "nf4" else "results/base"
        command = ["evaluate", "--base", base, *both, "--out", out / "e.parquet"]
        command += ["--adapter", "results/train/lora_r1_s0"] if run.startswith("lora") else []
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = cli.main(list(map(str, command)))
    return status, said.getvalue()


@pytest.mark.slow
def test_a_damaged_result_that_snakemake_sees_is_named_and_made_again(project, recorded, saw):
    """With a new time of change, as an editor or a failed copy leaves it."""
    path = project.root / "results/train/lora_r2_s0/adapter_model.safetensors"
    path.write_bytes(truncate(path.read_bytes()))
    done = project.run("snakemake", "all", ok=False)
    assert done.returncode != 0
    assert f"minituner: error: {path.relative_to(project.root)}" in done.stdout
    name = path.relative_to(project.root)
    assert f"delete it and make it again with `snakemake {name}`" in done.stdout
    path.unlink()
    project.run("snakemake", name)
    finish(project, recorded)
    saw("replaced file", "a result in place", "named with a remedy that works")


@pytest.mark.parametrize("damage", [pytest.param(truncate, marks=pytest.mark.slow), flip])
def test_a_damaged_entry_of_dvcs_cache_is_not_adopted(project, damage, saw):
    import hashlib

    name = "data/corpus.parquet"
    path = project.root / name
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    entry = project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    entry.chmod(0o644)
    entry.write_bytes(damage(entry.read_bytes()))
    path.unlink()
    checkout = project.run("dvc", "checkout", "corpus", ok=False)
    if checkout.returncode == 0 and path.is_file():
        done = project.make("sync", ok=False)
        assert done.returncode != 0 and "do not belong to these settings" in done.stdout
        outcome = "not adopted: `make sync` compares hashes"
    else:
        assert name in checkout.stdout or md5 in checkout.stdout
        outcome = "refused by `dvc checkout`, which compares hashes"
    kind = "truncated" if damage is truncate else "one bit flipped"
    saw(kind, "DVC cache entry", outcome)
