"""The tables of parameters and bytes hold every regime, or it is said what is lacking."""

from minituner.foundation import parquet
from tests.support.command import call
from tests.support.runs import NF4

SETTINGS = {
    "lora": {"target_modules": ["q_proj", "v_proj"]},
    "tuning": {"batch_size": 4},
    "sweep": {"ranks": [1, 2, 4]},
    "nf4": {"blocksize": 64, "double_quant": False},
}


def test_the_report_has_the_five_regimes_first_and_every_swept_rank(base, tmp_path):
    call("counts", given=SETTINGS, base=base, out=tmp_path / "out")
    rows = parquet.read_table(tmp_path / "out" / "counts.parquet").to_pylist()
    assert [row["regime"] for row in rows[:5]] == [
        "full fine-tuning",
        "LoRA r=4, all Linears",
        "LoRA r=8, all Linears",
        "LoRA r=16, all Linears",
        "QLoRA r=8, all Linears",
    ]
    names = [row["regime"] for row in rows]
    assert len(names) == len(set(names))
    for rank in SETTINGS["sweep"]["ranks"]:
        assert f"LoRA r={rank}, q_proj, v_proj" in names
        assert f"LoRA r={rank}, all Linears" in names
    text = (tmp_path / "out" / "counts.md").read_text()
    assert all(f"| {name} |" in text for name in names)
    assert (tmp_path / "out" / "counts.csv").read_text().count("\n") == len(rows) + 1


def test_all_linear_is_counted_and_measured_as_the_list_of_all(base, irregular, tmp_path):
    every = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]
    call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "nf4")
    paths = {"base": base, "nf4": tmp_path / "nf4", "irregular": irregular}
    for name, targets in (("word", "all-linear"), ("list", every)):
        sweep = {"ranks": [1, 2], "qlora_ranks": [2]}
        settings = SETTINGS | {"lora": {"target_modules": targets, "alpha": 4}, "sweep": sweep}
        call("counts", given=settings, base=base, out=tmp_path / name)
        call("memory", given=settings, **paths, out=tmp_path / name)
    for table in ("counts.csv", "memory.csv"):
        word, listed = ((tmp_path / name / table).read_text() for name in ("word", "list"))
        assert word == listed and "all Linears" in word
