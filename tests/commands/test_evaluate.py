"""A run is scored on every held-out sentence and on no other."""

import pyarrow as pa
import pytest

from minituner.foundation import parquet
from minituner.foundation.errors import UserError
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


def test_a_rival_too_long_for_the_context_is_named_in_one_line(
    base, irregular, control, tmp_path, capsys
):
    rows = parquet.read_table(irregular).to_pylist()
    rows[-1]["alternatives"].append("o" * 80)
    parquet.write_table(irregular, pa.Table.from_pylist(rows))
    out = tmp_path / "base.parquet"
    with pytest.raises(
        UserError, match="irregular.parquet: text: .* characters, but model.context"
    ):
        call("evaluate", base=base, irregular=irregular, control=control, out=out)
    assert capsys.readouterr().err == "" and not out.exists()
