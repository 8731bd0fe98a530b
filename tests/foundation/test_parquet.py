"""Tables have bytes that depend on their rows alone, and what is wrong with one is named."""

import pandas as pd
import pyarrow as pa
import pytest

from minituner.foundation import parquet
from minituner.foundation.errors import UserError


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_written_twice_has_equal_bytes(tmp_path, ending):
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    for name in ("one", "two"):
        parquet.write_table(tmp_path / f"{name}.{ending}", table)
    one, two = (tmp_path / f"{name}.{ending}" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_rows_are_the_same_file_as_their_table(tmp_path):
    parquet.write_table(tmp_path / "table.parquet", {"a": [1, 2], "b": ["x", "y"]})
    parquet.write_rows(tmp_path / "rows.parquet", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    one, other = (tmp_path / f"{name}.parquet" for name in ("table", "rows"))
    assert one.read_bytes() == other.read_bytes()


def test_a_frame_comes_back_as_it_was_but_for_its_index(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[7, 8])
    parquet.write_frame(tmp_path / "a.parquet", frame)
    back = parquet.read_frame(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(back, frame.reset_index(drop=True))


def test_a_truncated_table_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(path, {"a": list(range(1000))})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        UserError, match=r"a\.parquet: not a readable Parquet file .* make it again"
    ):
        parquet.read_table(path)


def test_a_missing_column_is_named(tmp_path):
    parquet.write_table(tmp_path / "a.parquet", {"a": [1]})
    with pytest.raises(UserError, match="column b: missing"):
        parquet.read_table(tmp_path / "a.parquet", ["b"])
