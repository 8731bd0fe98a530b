"""The page's live panel as a reader meets it: answers that are Python's, and a keyboard to ask."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from minituner import data
from minituner.checkpoints.adapters import load_run
from minituner.reporting import page as report
from minituner.workflow import settings

FIELDS = ["verb", "tense", "subject", "time", "beginning", "scale", "rank", "control"]
# Logits by the functions of the page's own script, of the models that it holds.
LOGITS = """
  (() => {
    const data = JSON.parse(document.getElementById("panel-data").textContent);
    const tensors = dequantized(readTensors(data[%s]));
    const model = new MiniGPT(data.config, tensors);
    const { file, alpha } = data.adapters[%s]?.find(({ rank }) => rank === data.rank) ?? {};
    if (file) model.adapt(readTensors(file), alpha, 1);
    return %s.map((text) => {
      model.past = [];
      return [..."\\n" + text].map((symbol) => [...model.read(model.vocab.indexOf(symbol))]);
    });
  })()"""


@pytest.fixture(scope="module")
def results(finished):
    return finished.root / "results"


@pytest.fixture
def shown(browser, results):
    """The page in a narrow window, just opened."""
    browser.open((results / "report.html").as_uri(), 390)
    yield browser
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    assert not browser.troubles((results / "report.html").as_uri())


def row(browser, name):
    """What each model says in a row of the table: of a form, or of what stands below the forms."""
    texts = "[...r.children].map((cell) => cell.firstChild?.textContent.trim())"
    rows = f"[...document.querySelectorAll('.answers tr')].map((r) => {texts})"
    return next(cells[1:] for cells in browser.evaluate(rows) if cells[0] == name)


def focus(browser, name):
    browser.evaluate(f"document.getElementById('panel').elements.{name}.focus()")


def test_its_logits_are_pythons_on_a_hundred_sentences(shown, finished, results):
    corpus = pq.read_table(finished.root / "data" / "corpus.parquet").to_pylist()
    held_out = [row["correct_text"] for row in corpus if row["split"] == "test"]
    texts = held_out[:: len(held_out) // 100][:100]
    assert len(set(texts)) == 100
    largest = {"float32": 0.0, "float64": 0.0}
    for method in ("base", "nf4", "lora", "qlora"):
        arguments = ["nf4" if method in ("nf4", "qlora") else "base", method, texts]
        answer = shown.evaluate(LOGITS % tuple(map(json.dumps, arguments)))
        rank = shown.evaluate("JSON.parse(document.getElementById('panel-data').textContent).rank")
        run = method if method in ("base", "nf4") else f"{method}_r{rank}_s0"
        model = load_run(run, results)
        for text, logits in zip(texts, answer, strict=True):
            ids = torch.tensor([data.encode(data.BOUNDARY + text, model.config.vocab)])
            for kind in largest:
                with torch.no_grad():
                    expected = model.to(getattr(torch, kind))(ids)[0].double()
                apart = (torch.tensor(logits, dtype=torch.float64) - expected).abs().max()
                largest[kind] = max(largest[kind], float(apart))
    # float32 rounds the experiment's own numbers; the script's sums are float64.
    assert largest["float32"] < 1e-4 and largest["float64"] < 1e-9, largest


def test_a_typed_beginning_is_answered_with_the_probabilities_that_the_page_lists(shown, results):
    rows = pq.read_table(results / "completions" / "completions.parquet").to_pylist()
    for prompt in dict.fromkeys(each["prompt"] for each in rows):
        focus(shown, "beginning")
        shown.write(prompt.rstrip())
        asked = [each for each in rows if each["prompt"] == prompt]
        assert [each["method"] for each in asked] == ["base", "LoRA", "QLoRA"]
        expected = [f"{100 * one['form_p']:.1f}\u00a0%" for one in asked]
        assert row(shown, asked[0]["form"]) == expected
        assert row(shown, "writes") == [one["completion"].strip() for one in asked]
        verb = shown.evaluate("document.getElementById('panel').elements.verb.value")
        assert prompt.startswith(f"{verb}: ")


def test_switched_off_the_update_leaves_the_base_and_forgets_nothing(shown):
    focus(shown, "scale")
    shown.press("Home")
    heads = "[...document.querySelectorAll('#panel-rows th')].map((h) => h.firstChild.textContent)"
    for form in shown.evaluate(heads):
        base, lora, _ = row(shown, form)
        assert base == lora
    assert row(shown, "forgets")[1] == "0.00\u00a0%"


def test_it_can_be_used_with_a_keyboard_and_each_field_has_a_name(shown):
    state = "JSON.stringify([document.getElementById('panel-says').innerText, ...[...document"
    state += ".getElementById('panel').elements].map((e) => e.value)])"
    shown.evaluate("document.querySelector('#panel').scrollIntoView()")
    focus(shown, "verb")
    for name in FIELDS:
        assert shown.evaluate("document.activeElement.name") == name
        assert shown.evaluate("document.activeElement.labels[0].innerText.trim().length") > 3
        assert shown.evaluate("document.activeElement.matches(':focus-visible')")
        before = shown.evaluate(state)
        if name == "beginning":
            shown.press("Enter")
            assert shown.evaluate(state) == before
            shown.write("go: ")
        elif name == "scale":
            shown.press("ArrowRight")
            assert (
                shown.evaluate("document.activeElement.getAttribute('aria-valuetext')")
                == "times 1.05"
            )
        else:
            shown.press("Home")
            before = shown.evaluate(state)
            shown.press("ArrowRight" if name == "rank" else "ArrowDown")
        assert shown.evaluate(state) != before, name
        shown.press("Tab")
    assert shown.evaluate("document.activeElement.id") == "panel-answers"
    assert shown.evaluate("document.getElementById('panel-says').ariaLive") == "polite"
    assert float(shown.evaluate("document.getElementById('panel').dataset.milliseconds")) > 0


def test_what_cannot_be_asked_is_said_and_nothing_is_left_of_the_last_answer(shown):
    focus(shown, "beginning")
    shown.write("go: yesterday she z")
    said = "document.getElementById('panel-says').innerText"
    assert "do not know \u201cz\u201d" in shown.evaluate(said)
    assert shown.evaluate("document.getElementById('panel-answers').hidden")
    assert shown.evaluate("document.activeElement.ariaInvalid") == "true"
    shown.write("go: " * 30)
    assert "Too long by" in shown.evaluate(said)
    shown.write("go: she ")
    assert "goes on with" in shown.evaluate(said)
    assert not shown.evaluate("document.getElementById('panel-answers').hidden")


def test_without_javascript_the_panel_says_so_and_shows_no_dead_fields(browser, results):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open((results / "report.html").as_uri(), 390)
        assert not browser.evaluate("document.getElementById('panel').offsetHeight")
        assert "JavaScript" in browser.evaluate("document.querySelector('noscript').innerText")
        assert browser.evaluate("document.querySelector('noscript p').offsetHeight") > 10
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_models_too_large_for_a_page_are_left_out_of_it_with_a_word(finished, monkeypatch):
    monkeypatch.chdir(finished.root)
    monkeypatch.setattr(report.panel, "MOST_BYTES", 1000)
    values = report.context(settings.load("params.yaml"), Path("data"), Path("results"))
    text = report.render(values)
    assert "too large for a page" in text and "<script" not in text
