"""Files are written whole or not at all, with bytes that depend on their content alone."""

import pyarrow as pa
import pytest

from minituner import files
from minituner.errors import UserError


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_written_twice_has_equal_bytes(tmp_path, ending):
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    for name in ("one", "two"):
        files.write_table(tmp_path / f"{name}.{ending}", table)
    one, two = (tmp_path / f"{name}.{ending}" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_truncated_table_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    files.write_table(path, {"a": list(range(1000))})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        UserError, match=r"a\.parquet: not a readable Parquet file .* make it again"
    ):
        files.read_table(path)


def test_a_missing_column_is_named(tmp_path):
    files.write_table(tmp_path / "a.parquet", {"a": [1]})
    with pytest.raises(UserError, match="column b: missing"):
        files.read_table(tmp_path / "a.parquet", ["b"])


def test_missing_and_broken_json_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(UserError, match="not valid JSON"):
        files.read_json(tmp_path / "a.json")


def test_nan_never_reaches_a_json_file(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())
