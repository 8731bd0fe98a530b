"""Files are written whole or not at all, with bytes that depend on their content alone."""

import hashlib
import subprocess

import pyarrow as pa
import pytest

from minituner.foundation import storage
from minituner.foundation.errors import UserError


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")
    with pytest.raises(RuntimeError), storage.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_written_twice_has_equal_bytes(tmp_path, ending):
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    for name in ("one", "two"):
        storage.write_table(tmp_path / f"{name}.{ending}", table)
    one, two = (tmp_path / f"{name}.{ending}" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_truncated_table_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    storage.write_table(path, {"a": list(range(1000))})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        UserError, match=r"a\.parquet: not a readable Parquet file .* make it again"
    ):
        storage.read_table(path)


def test_a_missing_column_is_named(tmp_path):
    storage.write_table(tmp_path / "a.parquet", {"a": [1]})
    with pytest.raises(UserError, match="column b: missing"):
        storage.read_table(tmp_path / "a.parquet", ["b"])


def test_missing_and_broken_json_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        storage.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(UserError, match="not valid JSON"):
        storage.read_json(tmp_path / "a.json")


def test_nan_never_reaches_a_json_file(tmp_path):
    with pytest.raises(ValueError):
        storage.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A JSON file whose record says what its bytes are."""
    monkeypatch.chdir(tmp_path)
    storage.write_json("a.json", [1, 2, 3])
    storage.write_json(storage.record_of("a.json"), {"sha256": storage.sha256("a.json")})
    return tmp_path / "a.json"


def test_a_flipped_bit_is_found_before_the_file_is_used(recorded):
    storage.read_json("a.json")
    recorded.write_bytes(recorded.read_bytes().replace(b"2", b"3"))
    with pytest.raises(UserError, match=r"a\.json: damaged: .* delete it and make it again"):
        storage.read_json("a.json")


def test_a_file_that_dvc_put_in_place_is_not_called_damaged(recorded):
    recorded.write_bytes(b"[4]\n")
    md5 = hashlib.md5(recorded.read_bytes()).hexdigest()
    cached = storage.DVC_CACHE / md5[:2] / md5[2:]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(recorded.read_bytes())
    assert storage.read_json("a.json") == [4]


def test_a_new_file_is_not_held_against_the_record_of_the_old_one(recorded):
    storage.write_json("a.json", [5])
    assert storage.read_json("a.json") == [5]


def test_what_is_read_and_written_is_noted(recorded):
    with storage.traced() as trace:
        storage.read_json("a.json")
        storage.write_text("b.txt", "b")
    storage.write_text("c.txt", "c")
    assert trace.read == {"a.json": storage.sha256("a.json")}
    assert [path.name for path in trace.written] == ["b.txt"]


def test_another_version_from_git_is_no_damage(recorded):
    """Also where the file entered git after its record was written."""
    recorded.write_bytes(b"[4]\n")
    subprocess.run(["git", "init", "--quiet"], check=True)
    with pytest.raises(UserError, match="damaged"):
        storage.read_json("a.json")
    subprocess.run(["git", "add", "a.json"], check=True)
    assert storage.read_json("a.json") == [4]
