"""report.html as a reader meets it: in a browser, offline, on a telephone and on a desk."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from minituner.reporting.templates import FOLDER

SECTIONS = "done ask ablation forgetting verbs examples habit sizes nf4 rank provenance".split()


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def page(finished):
    return finished.root / "results" / "report.html"


@pytest.fixture(scope="module")
def tags(page):
    return Tags(page.read_text(encoding="utf-8")).found


def test_the_page_begins_with_the_definition_of_done_and_has_every_section(page, tags):
    assert [a["id"] for tag, a in tags if tag == "section"] == SECTIONS
    text = page.read_text(encoding="utf-8")
    assert text.count('data-label="measured"') == 5


def test_the_page_refers_to_nothing_outside_itself(tags):
    ids = {a["id"] for _, a in tags if "id" in a}
    for tag, attributes in tags:
        assert tag not in ("iframe", "object", "embed"), tag
        for name in ("src", "href", "srcset", "action", "poster"):
            value = attributes.get(name, "data:")
            assert value.startswith("data:") or value.removeprefix("#") in ids, value[:80]


def test_no_script_but_the_panels_may_run_or_ask_for_anything(page, tags):
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    script = (FOLDER / "panel.js").read_bytes()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert {"default-src 'none'", f"script-src 'sha256-{digest}'"} <= set(policy.split("; "))
    assert f"<script>{script.decode()}</script>" in page.read_text(encoding="utf-8")
    assert [a for tag, a in tags if tag == "script"] == [
        {"type": "application/json", "id": "panel-data"},
        {},
    ]


def test_no_clock_host_or_path_is_on_the_page(finished, page):
    text = page.read_text(encoding="utf-8")
    text = re.sub('<script type="application/json".*?</script>', "", text, flags=re.S)
    assert str(finished.root) not in text and str(finished.root.parent.parent) not in text
    assert not re.search(r"\b\d\d:\d\d:\d\d\b|\b20[2-9]\d-\d\d-\d\d\b", text)


def test_the_page_made_again_has_the_same_bytes(project):
    page = project.root / "results" / "report.html"
    before = page.read_bytes()
    page.unlink()
    project.run("snakemake", "report")
    assert page.read_bytes() == before


def test_every_verb_of_the_evaluation_is_on_the_page_before_and_after(finished, page):
    import pyarrow.parquet as pq

    table = pq.read_table(finished.root / "results" / "evaluate" / "per_verb.parquet")
    cells = {(r["verb_lemma"], r["tense"]): r for r in table.to_pylist() if r["group"] == "base"}
    text = page.read_text(encoding="utf-8")
    verbs = text[text.index('id="verbs"') : text.index('id="examples"')]
    assert len(re.findall('class="axis"', verbs)) == len(cells)
    for (verb, _), row in cells.items():
        shown = f"{row['margin']:+.2f}".replace("-", "−")
        assert re.search(rf">{verb}<small>.*?</tr>", verbs, re.S)
        assert shown in verbs, (verb, shown)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_it_without_errors_requests_or_sideways_scrolling(
    browser, page, width, dark
):
    browser.open(page.as_uri(), width, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    smallest = "Math.min(...[...document.querySelectorAll('body *')].map("
    smallest += "e => parseFloat(getComputedStyle(e).fontSize)))"
    assert browser.evaluate(smallest) >= 11
    images = "[...document.images].map(i => [i.alt.length, i.complete && i.naturalWidth])"
    shown = browser.evaluate(images)
    assert len(shown) == 7
    assert all(alt > 40 and wide > 300 for alt, wide in shown)
    assert not browser.troubles(page.as_uri())
