"""The tables of parameters and bytes hold every regime, or it is said what is lacking."""

from minituner.foundation import parquet
from tests.support.command import call

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
