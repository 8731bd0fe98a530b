"""What figures share: a picture's bytes, and settings that end where they are not wanted."""

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from minituner.analysis.verdict import SOURCE_KEY
from minituner.foundation import storage
from minituner.reporting import style


def test_a_saved_picture_says_what_it_was_drawn_from_in_both_formats(tmp_path):
    (tmp_path / "table.parquet").write_bytes(b"numbers")
    source = storage.sha256(tmp_path / "table.parquet")
    with style.applied():
        style.save(Figure(figsize=(1, 1)), tmp_path / "picture", tmp_path / "table.parquet")
    with Image.open(tmp_path / "picture.png") as image:
        assert image.info[SOURCE_KEY] == source
    assert f"{SOURCE_KEY}={source}" in (tmp_path / "picture.svg").read_text()


def test_the_settings_of_figures_hold_inside_and_nowhere_else():
    before = dict(matplotlib.rcParams)
    with style.applied():
        assert {name: matplotlib.rcParams[name] for name in ("svg.hashsalt", "font.size")} == {
            "svg.hashsalt": "minituner",
            "font.size": 10,
        }
    assert dict(matplotlib.rcParams) == before
