"""What a process reads and writes is noted, and the record beside a file is read with care."""

import pytest

from minituner.foundation import storage, trace


def test_what_is_read_and_written_is_noted(recorded):
    with trace.traced() as noted:
        storage.read_json("a.json")
        storage.write_text("b.txt", "b")
    storage.write_text("c.txt", "c")
    assert noted.read == {"a.json": storage.sha256("a.json")}
    assert [path.name for path in noted.written] == ["b.txt"]


def test_a_trace_inside_another_keeps_what_it_notes_to_itself(recorded):
    with trace.traced() as outer:
        with trace.traced() as inner:
            storage.write_text("b.txt", "b")
        storage.write_text("c.txt", "c")
    assert [path.name for path in inner.written] == ["b.txt"]
    assert [path.name for path in outer.written] == ["c.txt"]


def test_the_record_of_a_file_lies_beside_it_and_says_its_hash(recorded):
    assert trace.record_path(recorded) == recorded.parent / ".provenance" / "a.json.json"
    assert trace.read_record(recorded) == {"sha256": storage.sha256(recorded)}


@pytest.mark.parametrize("content", ["{", "[]", "null", "{}", '{"sha256": 1}', "\xff"])
def test_a_record_that_is_none_counts_as_missing(recorded, content):
    trace.record_path(recorded).write_bytes(content.encode("latin-1"))
    assert trace.read_record(recorded) is None
