"""The panel's JavaScript, held against the Python that it repeats."""

import json

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from minituner import data, evaluate, nf4
from minituner.analysis import decoding
from minituner.checkpoints import names, runs
from minituner.checkpoints.adapters import load_adapter, load_on_base, save_adapter
from minituner.checkpoints.models import load_model, load_tensors, save_model
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from minituner.qlora import block_linears, replace_linears
from minituner.reporting import panel
from tests.support import node
from tests.support.sentences import CONTROL, SENTENCES

pytestmark = pytest.mark.skipif(not node.NODE, reason=node.MISSING)

TEXTS = [prompt + form + rest for _, _, prompt, form, rest, _ in SENTENCES + CONTROL]
KINDS = {
    "float32": None,
    "NF4": {"blocksize": 64, "double_quant": False},
    "NF4 in blocks that end behind the weight": {"blocksize": 1024, "double_quant": False},
    "NF4, double": {"blocksize": 64, "double_quant": True},
}
# A model in JavaScript from what the page embeds; `read` is not shared, as `behind` shares it.
MODEL = """
  const tensors = panel.dequantized(panel.readTensors(given.file));
  const adapter = given.adapter ? panel.readTensors(given.adapter) : {};
  const make = (scale) => {
    const made = new panel.MiniGPT(given.config, tensors);
    made.adapt(adapter, given.alpha, scale);
    return made;
  };
  const logits = (model, text) => {
    model.past = [];
    return [..."\\n" + text].map((symbol) => [...model.read(model.vocab.indexOf(symbol))]);
  };
"""


@pytest.fixture(params=KINDS)
def folder(request, tmp_path, model):
    """A folder with a model whose weights are as large as trained ones, in float32 or NF4."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10 if parameter.dim() == 2 else 1)
            parameter.add_(0.1 * torch.randn_like(parameter))
    quantization = KINDS[request.param]
    if quantization:
        quantization = {"quant_type": "nf4", "modules": block_linears(model), **quantization}
        replace_linears(model, **quantization)
    save_model(tmp_path / "base", model, quantization)
    return tmp_path / "base"


def adapted(folder, target_modules=("q_proj", "v_proj"), r=3):
    """A folder with an adapter for the model in a folder, as large as a trained one."""
    model = wrap_minigpt_with_lora(load_model(folder), r, 8.0, target_modules)
    for layer in lora_layers(model).values():
        torch.nn.init.normal_(layer.lora_B, std=0.3)
    save_adapter(folder.parent / "adapter", model, folder)
    return folder.parent / "adapter"


def given(folder, adapter=None):
    """What `MODEL` needs."""
    config = json.loads((folder / names.CONFIG_FILE).read_text())["model"]
    files = {"file": panel.encoded(folder / names.MODEL_FILE), "config": config, "alpha": 0}
    return files | ({"adapter": panel.adapter(adapter)["file"], "alpha": 8.0} if adapter else {})


def logits(model, text):
    """Python's, (T, V), computed in float64 as the script does."""
    with torch.no_grad():
        ids = torch.tensor([data.encode(data.BOUNDARY + text, model.config.vocab)])
        return model.double()(ids)[0]


def test_the_script_has_at_most_400_lines():
    assert node.PANEL.read_text(encoding="utf-8").count("\n") <= 400


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["k_proj", "o_proj", "fc1", "fc2"]])
def test_its_logits_are_pythons_whatever_the_base_and_the_adapted_linears(folder, targets):
    adapter = adapted(folder, targets)
    body = MODEL + "return given.texts.map((text) => [0, 1, 2].map((s) => logits(make(s), text)));"
    answers = node.run(body, texts=TEXTS, **given(folder, adapter))
    model = load_adapter(adapter, load_model(folder), folder)
    for text, scaled in zip(TEXTS, answers, strict=True):
        for scale, answer in enumerate(scaled):
            for layer in lora_layers(model).values():
                layer.scaling = scale * layer.alpha / layer.rank
            expected = logits(model, text)
            assert expected.abs().max() > 1
            difference = (torch.tensor(answer, dtype=torch.float64) - expected).abs().max()
            assert difference < 1e-9, (text, scale, float(difference))


def test_weights_in_nf4_are_pythons_to_the_bit(folder):
    body = (
        MODEL + "return Object.fromEntries(given.names.map((name) => [name, [...tensors[name]]]));"
    )
    layers = {
        name: module
        for name, module in load_model(folder).named_modules()
        if isinstance(module, nf4.NF4Linear)
    }
    weights = [f"{name}.weight" for name in layers]
    for name, values in node.run(body, names=weights, **given(folder)).items():
        expected = layers[name.removesuffix(".weight")].dequantized().double()
        assert torch.equal(torch.tensor(values, dtype=torch.float64), expected.flatten()), name
    assert bool(layers) == (load_tensors(folder / names.MODEL_FILE).keys() > set(weights) > set())


def test_gelu_is_pytorchs():
    xs = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    answer = node.run("return given.xs.map(panel.gelu);", xs=xs.tolist())
    assert (torch.tensor(answer, dtype=torch.float64) - F.gelu(xs)).abs().max() < 1e-11


def test_what_a_model_was_asked_before_changes_no_answer(base):
    texts = ["go: yesterday she ", "go: yesterday I ", "go: ", "go: yesterday she went", ""]
    body = (
        MODEL
        + """
      const used = make(1), ask = (model) => (text) => [...model.behind(text)];
      const first = given.texts.map(ask(used));
      used.adapt({}, 0, 2); given.texts.map(ask(used));
      used.adapt(adapter, given.alpha, 1);
      const fresh = given.texts.map((text) => ask(make(1))(text));
      return [first, [...given.texts].reverse().map(ask(used)).reverse(), fresh];"""
    )
    first, again, fresh = node.run(body, texts=texts, **given(base, adapted(base)))
    assert first == again == fresh


def test_forms_and_sentences_have_the_probabilities_that_evaluation_gives(base):
    adapter = adapted(base)
    model = load_on_base(base, adapter)
    prompts = [prompt for _, _, prompt, *_ in SENTENCES]
    forms = [f"{form} " for *_, form, _, _ in SENTENCES]
    body = (
        MODEL
        + """
      const model = make(1), asked = given.prompts.map((prompt, i) => [prompt, given.forms[i]]);
      return {
        forms: asked.map(([prompt, form]) => model.logP(prompt, form)),
        hopeless: asked.map(([prompt, form]) => model.logP(prompt, form, -1)),
        written: given.prompts.map((prompt) => model.greedy(prompt)),
        perplexities: given.texts.map((text) => model.perplexity(text)),
      };"""
    )
    answer = node.run(body, prompts=prompts, forms=forms, texts=TEXTS, **given(base, adapter))
    log_probs = evaluate.score(model, prompts, forms)[0].sum(1).tolist()
    assert answer["forms"] == pytest.approx(log_probs, abs=1e-4)
    assert all(
        full <= cut < -1 for full, cut in zip(answer["forms"], answer["hopeless"], strict=True)
    )
    assert answer["written"] == [decoding.greedy(model, prompt) for prompt in prompts]
    rows = [{"text": text, "prompt": "", "form": text, "alternatives": []} for text in TEXTS]
    scores = evaluate.score_rows(lambda *asked: evaluate.score(model, *asked), rows)
    nats = [score["sentence_nats"] / score["sentence_symbols"] for score in scores]
    expected = torch.tensor(nats, dtype=torch.float64).exp().tolist()
    assert answer["perplexities"] == pytest.approx(expected, rel=1e-5)


def test_the_other_word_shown_is_the_likeliest_one_that_is_in_no_row():
    chances = {
        "": [0, 0, 0.6, 0.4],
        "a": [0, 0.9, 0.1, 0],
        "b": [0, 0.4, 0, 0.6],
        "bb": [0, 1, 0, 0],
        "aa": [0, 0.1, 0, 0],
    }
    body = """
      const toy = Object.create(panel.MiniGPT.prototype);
      const behind = (text) => (given.chances[text] ?? [1, 0, 0, 0]).map(Math.log);
      Object.assign(toy, { vocab: [..."\\n ab"], config: { context: 8 }, behind });
      return given.listed.map((forms) => toy.otherWord("", forms)?.text ?? null);"""
    listed = [[], ["a"], ["a b"], ["a", "bb"], ["a", "b", "bb"]]
    answer = node.run(body, chances=chances, listed=listed)
    assert answer == ["a", "bb", "bb", "b", None]  # aa has 0.6 %, which is not worth a word


def test_the_rank_shown_beside_another_is_the_one_that_the_tables_compare():
    ranks, others = list(range(1, 40)), [1, 8, 32]
    body = """return given.ranks.map((rank) => given.others.map((rank) => ({ rank })).reduce(
        (one, other) => panel.nearer(rank, one, other)).rank);"""
    nearest = [runs.nearest_rank(rank, others) for rank in ranks]
    assert node.run(body, ranks=ranks, others=others) == nearest


def test_a_text_is_asked_with_its_own_forms_or_with_all_of_its_verb():
    forms = {
        "go": {"past": {"3sg": ["went", "goed"]}, "present": {"3sg": ["goes"], "1sg": ["go"]}},
        "eat": {"past": {"3sg": ["ate"]}},
    }
    body = """
      const beginning = { tense: "past", cell: "3sg" };
      const known = new Map([["go: yesterday she ", { lemma: "go", beginning }]]);
      return given.texts.map((text) => panel.question(text, known, given.forms, "eat"));"""
    texts = ["go: yesterday she ", "go: yesterday she", "go: now the dog", "constructor: she ", ""]
    asked = node.run(body, texts=texts, forms=forms)
    assert [each["prompt"] for each in asked] == [
        *2 * ["go: yesterday she "],
        "go: now the dog ",
        "constructor: she ",
        "",
    ]
    assert [each["forms"] for each in asked] == [
        *2 * [["went", "goed"]],
        ["went", "goed", "goes", "go"],
        *2 * [["ate"]],
    ]
    assert [bool(each["beginning"]) for each in asked] == [True, True, False, False, False]


def test_a_model_is_not_asked_what_it_cannot_read(base):
    body = (
        MODEL
        + """
      const model = make(1), forms = ["went"];
      const asked = (prompt) => panel.problem({ prompt, forms }, model);
      const longest = "go ".repeat(100).slice(0, 59), most = model.config.context;
      model.logP(longest, "went "), model.greedy(longest), model.otherWord(longest, forms);
      return [asked("go: zebra "), asked(longest), asked(longest + "g"), most];"""
    )
    strange, longest, longer, most = node.run(body, **given(base))
    assert "do not know \u201cz\u201d" not in longest and longest == "" and most == 64
    assert "Too long by 1" in longer


def test_percentages_have_a_true_minus_and_no_sign_at_zero():
    body = "return given.shares.map((share) => panel.percent(share, 2, '+'));"
    shown = node.run(body, shares=[0.0123, -0.0123, 0.000001, -0.000001])
    assert shown == ["+1.23\u00a0%", "\u22121.23\u00a0%", "0.00\u00a0%", "0.00\u00a0%"]


def test_models_too_large_for_a_page_are_left_out(base, monkeypatch):
    sweep = {"ranks": [1], "qlora_ranks": [1], "seeds": [0]}
    monkeypatch.setattr(panel, "MOST_BYTES", names.file_bytes(base) - 1)
    assert panel.models(runs.parse_run("lora_r1_s0"), sweep, base.parent) is None


def test_a_beginning_that_all_verbs_share_is_stored_once():
    rows = [
        ("go", "go: yesterday she ", "she"),
        ("eat", "eat: yesterday she ", "she"),
        ("go", "go: yesterday I ", "I"),
        ("eat", "yesterday eat I ", "I"),
    ]
    corpus = pd.DataFrame(rows, columns=["verb_lemma", "prompt", "subject"])
    corpus = corpus.assign(tense="past", time="yesterday", cell="3sg", split="test")
    same = ["past", "she", "yesterday", "3sg", "{}: yesterday she ", "test", None]
    own = [
        ["past", "I", "yesterday", "3sg", "{}: yesterday I ", "test", ["go"]],
        ["past", "I", "yesterday", "3sg", "yesterday eat I ", "test", ["eat"]],
    ]
    assert panel.beginnings(corpus, ["go", "eat"]) == [same, *own]
