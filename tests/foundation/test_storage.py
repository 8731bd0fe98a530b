"""Files are written whole or not at all, and none is damaged unnoticed."""

import hashlib
import subprocess

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


def test_rows_become_csv_with_a_header_and_all_digits_of_a_number(tmp_path):
    storage.write_rows(tmp_path / "a.csv", [{"a": 1, "b": 0.1 + 0.2}, {"a": 2, "b": "x,y"}])
    assert (tmp_path / "a.csv").read_bytes() == b'a,b\n1,0.30000000000000004\n2,"x,y"\n'


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


def test_another_version_from_git_is_no_damage(recorded):
    """Also where the file entered git after its record was written."""
    recorded.write_bytes(b"[4]\n")
    subprocess.run(["git", "init", "--quiet"], check=True)
    with pytest.raises(UserError, match="damaged"):
        storage.read_json("a.json")
    subprocess.run(["git", "add", "a.json"], check=True)
    assert storage.read_json("a.json") == [4]
