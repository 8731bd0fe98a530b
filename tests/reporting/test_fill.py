"""Quoted values are filled, and stale ones named by page, line and name."""

import json

import pytest

from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.reporting import fill
from minituner.workflow.cli import main

VALUES = {"a.gain": "+1.5 % [+1.0, +2.0]", "a.n": "1,024", "table": "| x |\n|---|\n| 2 |"}
PAGE = """# Page

It gains <!-- value: a.gain -->old<!-- end -->, or <!-- point: a.gain -->old<!-- end -->,
with <!-- value: a.n -->1,024<!-- end --> numbers.

<!-- value: table -->
| x |
|---|
| 1 |
<!-- end -->
"""


@pytest.fixture
def project(tmp_path):
    """A page that is stale in three places, and the results with a picture."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "README.md").write_text("No value.\n", encoding="utf-8")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "plot.png").write_bytes(b"picture")
    hashes = {"plot.png": storage.sha256(tmp_path / "results" / "plot.png")}
    known = {"figures": hashes, "values": VALUES}
    (tmp_path / "results" / "values.json").write_text(json.dumps(known), encoding="utf-8")
    return tmp_path


def run(project, monkeypatch, *options):
    monkeypatch.chdir(project)
    return main(["fill", "--values", "results/values.json", *options])


def test_filling_writes_values_points_tables_and_pictures_and_nothing_else(project, monkeypatch):
    assert run(project, monkeypatch) == 0
    text = (project / "docs" / "page.md").read_text(encoding="utf-8")
    expected = PAGE.replace("gain -->old", "gain -->+1.5 % [+1.0, +2.0]", 1)
    expected = expected.replace("gain -->old", "gain -->+1.5 %").replace("| 1 |", "| 2 |")
    assert text == expected
    assert (project / fill.PICTURES / "plot.png").read_bytes() == b"picture"
    assert (project / "README.md").read_text() == "No value.\n"


def test_what_was_filled_passes_the_check_and_is_not_written_again(project, monkeypatch, capsys):
    run(project, monkeypatch)
    before = (project / "docs" / "page.md").stat().st_mtime_ns
    capsys.readouterr()
    assert run(project, monkeypatch, "--check") == run(project, monkeypatch) == 0
    assert capsys.readouterr() == ("", "")
    assert (project / "docs" / "page.md").stat().st_mtime_ns == before


def test_the_check_names_page_line_and_value_and_changes_nothing(project, monkeypatch, capsys):
    assert run(project, monkeypatch, "--check") == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "docs/page.md: line 3: a.gain: says 'old', the results say '+1.5 % [+1.0, +2.0]'",
        "docs/page.md: line 3: a.gain: says 'old', the results say '+1.5 %'",
        "docs/page.md: line 6: table: says '1', the results say '2'",
        "docs/theory/figures/plot.png: not the picture that the results hold",
    ]
    assert said.err == "minituner: error: docs/page.md: out of date; run `snakemake docs`\n"
    assert (project / "docs" / "page.md").read_text(encoding="utf-8") == PAGE


def test_a_check_needs_no_picture_beside_the_values_but_filling_does(project, monkeypatch, capsys):
    """A fresh clone holds the values and the copies; DVC holds the pictures themselves."""
    run(project, monkeypatch)
    (project / "results" / "plot.png").unlink()
    assert run(project, monkeypatch, "--check") == 0
    (project / fill.PICTURES / "plot.png").write_bytes(b"spoilt")
    assert run(project, monkeypatch, "--check") == 2
    capsys.readouterr()
    assert run(project, monkeypatch) == 2
    assert "results/plot.png: not the one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, message",
    [
        ("\n<!-- value: a.gian -->1<!-- end -->", "p.md: line 2: a.gian: no such value; did you"),
        ("<!-- value: a.n -->1", "p.md: line 1: a value without its end"),
        ("<!-- value: a.n -->1 <!-- value: a.n -->1<!-- end -->", "a value without its end"),
    ],
)
def test_a_wrong_quote_is_an_error_with_its_line(text, message):
    with pytest.raises(UserError, match=message):
        fill.filled(text, VALUES, "p.md")


@pytest.mark.parametrize("text", ["", fill.BEGIN, f"{fill.END}{fill.BEGIN}", 2 * fill.BEGIN])
def test_a_page_without_the_markers_is_left_alone_and_told(tmp_path, text):
    page = tmp_path / "README.md"
    page.write_text(text)
    with pytest.raises(UserError, match="README.md: no block; write <!-- results: begin -->"):
        fill.fill_block(page, lambda: "new\n")
    assert page.read_text() == text
