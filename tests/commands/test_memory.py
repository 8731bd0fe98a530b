"""What a step of each method holds is measured on one and the same batch."""

from minituner.budget.formula import BUCKETS
from minituner.foundation import parquet
from tests.support.command import call
from tests.support.runs import NF4


def test_the_report_measures_every_method_on_the_same_batch(base, irregular, tmp_path):
    settings = {
        "lora": {"target_modules": ["q_proj", "v_proj"], "alpha": 4},
        "tuning": {"batch_size": 4},
        "sweep": {"ranks": [1, 2], "qlora_ranks": [2]},
    }
    nf4 = tmp_path / "nf4"
    call("quantize", given={"nf4": NF4}, base=base, out=nf4)
    options = {"base": base, "nf4": nf4, "irregular": irregular, "out": tmp_path / "out"}
    call("memory", given=settings, **options)
    rows = parquet.read_table(tmp_path / "out" / "memory.parquet").to_pylist()
    assert [row["method"] for row in rows] == ["full", "lora", "qlora"]
    for row in rows:
        for bucket in BUCKETS:
            assert row[f"{bucket}_bytes_measured"] == row[f"{bucket}_bytes_predicted"] > 0
    full, lora, packed = rows
    assert full["linears_bytes_measured"] == lora["linears_bytes_measured"]
    # 32 bits against 4.5: half a byte a weight and 4 bytes of absmax for 64 of them.
    assert lora["linears_bytes_measured"] / packed["linears_bytes_measured"] == 32 / 4.5
    assert "7.11 × fewer bytes than float32" in (tmp_path / "out" / "memory.md").read_text()
