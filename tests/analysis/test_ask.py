"""The live answers: true probabilities, the right rivals, and one line for what cannot be asked."""

import math

import pyarrow as pa
import pytest

from minituner import compute, evaluate
from minituner.analysis import ask, prompts
from minituner.checkpoints.adapters import load_on_base
from minituner.foundation import parquet
from minituner.workflow import cli
from tests.support.sentences import CONTROL, SENTENCES


@pytest.fixture
def data(tmp_path, irregular, control):
    """A folder with the two subsets and a corpus of the same sentences, some spoilt."""
    rows = [
        {
            "verb_lemma": verb,
            "tense": tense,
            "person": "3sg",
            "prompt": prompt,
            "correct_form": form,
            "form": written,
            "split": "train",
            "frame": f"she|{behind.strip(' .')}|{prompt.partition(': ')[2].rpartition(' ')[0]}",
        }
        for verb, tense, prompt, form, behind, rivals in SENTENCES + CONTROL
        for written in (form, rivals[0])
    ]
    parquet.write_table(tmp_path / "corpus.parquet", pa.Table.from_pylist(rows))
    return tmp_path


@pytest.fixture
def models(base):
    return {"base": compute.accelerate(load_on_base(base))}


def test_the_forms_of_a_cell_have_the_probabilities_that_evaluation_gives(models, data):
    answer = ask.conjugate(models, data, "go", "past_simple", "she", None)
    row = {"prompt": "go: yesterday she ", "form": "went", "text": "go: yesterday she went home."}
    rows = [row | {"alternatives": ["goed"]}]
    (scored,) = evaluate.score_rows(models["base"].score, rows)
    expected = ask.form_chances(models["base"], row["prompt"], ["went", "goed"])
    assert expected["went"] == pytest.approx(math.exp(scored["correct_logp"]))
    assert expected["goed"] == pytest.approx(math.exp(scored["rival_logp"]))
    for form in ("went ✓", "goed", "go", "wented", "rest"):
        assert any(line.startswith(form) for line in answer.splitlines()), form
    assert "base: go: yesterday she " in answer


def test_a_prompt_of_the_corpus_is_completed_with_its_cells_forms(models, data):
    asked = ask.complete(models, data, "go: yesterday she ")
    assert asked == ask.conjugate(models, data, "go", "past_simple", None, None)


def test_without_a_verb_in_front_the_shares_are_of_all_verbs(models, data):
    cells = prompts.read(data / "corpus.parquet")
    cells = cells[cells["prompt"].str.partition(": ")[2] == "yesterday she "]
    shares = ask.chances_over_verbs(models["base"], cells, "yesterday she ")
    assert {lemma for lemma, _ in shares} == {"go", "walk"}
    assert 0 < sum(shares.values()) <= 1
    assert "went ✓" in ask.complete(models, data, "yesterday she ")


def test_anything_else_is_completed_with_the_models_own_words(models, data):
    assert "rest" in ask.complete(models, data, "she has ")


def test_the_favourite_is_marked_in_each_column():
    chances = {"one": {"went": 0.9, "goed": 0.1}, "two": {"went": 0.2, "goed": 0.3}}
    head, went, goed, others = ask.table(chances, {"went"}, ["went", "goed"])
    assert head.split() == ["one", "two"]
    assert went.split() == ["went", "✓", "*", "90.0", "%", "20.0", "%"]
    assert goed.split() == ["goed", "10.0", "%", "*", "30.0", "%"]
    assert others.split() == ["rest", "0.0", "%", "50.0", "%"]
    assert len({len(line) for line in (head, went, goed, others)}) == 1


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["gp"], "conjugate: verb: the corpus has no 'gp'; did you mean go? known are go, eat"),
        (["go", "--tense", "past"], "tense: the corpus has no 'past'; did you mean past_simple?"),
        (["go", "--subject", "he"], "subject: the corpus has no 'he'; did you mean she?"),
        (["go", "--run", "lora_r9_s0"], "lora_r9_s0: no such folder; make it with"),
        (["go", "--run", "mine"], "mine: not a run's name; expected e.g. base"),
        (["go", "--run", "base", "--base", "x"], "--run: names the model already; drop it"),
    ],
)
def test_what_cannot_be_asked_is_one_line_with_a_remedy(data, base, capsys, arguments, expected):
    places = ["--data", str(data), "--results", str(data)]
    if "--run" not in arguments:
        places += ["--base", str(base)]
    assert cli.main(["conjugate", *arguments, *places]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def test_missing_results_are_one_line_with_a_remedy(data, tmp_path, capsys):
    for command in (["conjugate", "go"], ["complete", "go: "], ["compare", "base", "base"]):
        assert cli.main([*command, "--results", str(tmp_path / "none")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "snakemake all" in error, error
