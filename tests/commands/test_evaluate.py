"""A run is scored on every held-out sentence and on no other."""

from minituner.foundation import parquet
from tests.support.command import call


def test_a_run_has_a_row_for_every_held_out_sentence_and_no_training_one(
    base, irregular, control, tmp_path
):
    out = tmp_path / "base.parquet"
    call("evaluate", base=base, irregular=irregular, control=control, out=out)
    rows = parquet.read_table(out).to_pylist()
    assert {row["split"] for row in rows} == {"val", "test"}
    assert len(rows) == 4 * 2 + 1 + 3 * 2
    assert {row["run"] for row in rows} == {"base"}
    assert sum(row["set"] == "cell" for row in rows) == 1
