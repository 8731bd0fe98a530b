"""Text that users write is read whole, whatever its line ends, or named in a line."""

import gzip

import pytest

from minituner.foundation.errors import UserError
from minituner.foundation.text import read_text

TEXT = "eins\nzwei: äöü\n"


def test_text_is_the_same_packed_or_not_and_with_any_line_end(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        content = TEXT.replace("\n", end).encode()
        (tmp_path / "plain.csv").write_bytes(content)
        (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(content))
        assert read_text(tmp_path / "plain.csv", "") == TEXT
        assert read_text(tmp_path / "packed.csv.gz", "") == TEXT


@pytest.mark.parametrize(
    "spoil", [lambda c: c[:-9], lambda c: b"x" + c, lambda c: c[:12] + b"~" * 9]
)
def test_a_damaged_packed_file_is_named_in_a_line(tmp_path, spoil):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(spoil(gzip.compress(TEXT.encode() * 50)))
    with pytest.raises(
        UserError, match=r"a.csv.gz: not a whole gzip file \(.*\); compress it again"
    ):
        read_text(path, "name a file")
