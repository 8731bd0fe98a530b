"""The block of a README that a run's results fill."""

import pytest

from minituner.foundation.errors import UserError
from minituner.reporting import showcase


@pytest.mark.parametrize(
    "text", ["", showcase.BEGIN, f"{showcase.END}{showcase.BEGIN}", 2 * showcase.BEGIN]
)
def test_a_page_without_the_markers_is_left_alone_and_told(tmp_path, text):
    page = tmp_path / "README.md"
    page.write_text(text)
    with pytest.raises(UserError, match="README.md: no block; write <!-- results: begin -->"):
        showcase.show(tmp_path, page)
    assert page.read_text() == text


def test_what_stands_around_the_block_stays(tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{showcase.BEGIN}\nold\n{showcase.END}\nbehind\n")
    monkeypatch.setattr(showcase, "block", lambda results: "new\n")
    showcase.show(tmp_path, page)
    assert page.read_text() == f"before\n{showcase.BEGIN}\nnew\n{showcase.END}\nbehind\n"
