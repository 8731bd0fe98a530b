"""A file with its record, for the tests of storage and of the trace."""

import pytest

from minituner.foundation import storage, trace


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A JSON file whose record says what its bytes are."""
    monkeypatch.chdir(tmp_path)
    storage.write_json("a.json", [1, 2, 3])
    storage.write_json(trace.record_path("a.json"), {"sha256": storage.sha256("a.json")})
    return tmp_path / "a.json"
