"""The block of a README that a run's results fill."""

import pandas as pd

from minituner.foundation import parquet
from minituner.reporting import fill, showcase
from tests.support.command import call


def test_what_stands_around_the_block_stays(tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{fill.BEGIN}\nold\n{fill.END}\nbehind\n")
    monkeypatch.setattr(showcase, "block", lambda results: "new\n")
    call("showcase", results=tmp_path, page=page)
    assert page.read_text() == f"before\n{fill.BEGIN}\nnew\n{fill.END}\nbehind\n"


def evaluation(*chosen):
    """Test sentences of two verbs, and for each whether the correct form was preferred."""
    cells = [("eat", "ate", rival) for rival in ("eated", "ated", "eated", "ated")]
    table = pd.DataFrame([*cells, ("go", "went", "goed")], columns=["verb_lemma", "form", "rival"])
    return table.assign(tense="past_simple", set="irregular", split="test", chosen=chosen)


def test_a_verbs_row_names_the_usual_mistake_and_of_two_the_first_by_letter(tmp_path):
    runs = {
        "base": evaluation(False, False, False, False, True),
        "lora_r1_s0": evaluation(True, True, True, False, True),
    }
    for name, table in runs.items():
        parquet.write_frame(tmp_path / "evaluate" / "runs" / f"{name}.parquet", table)
    assert showcase.verb_rows(tmp_path, "lora_r1_s0") == [
        ("eat", "past_simple", "*ated* for *ate*", "0%", "75%"),
        ("go", "past_simple", "none", "100%", "100%"),
    ]
