"""The larger task: forty irregular verbs, and otherwise nothing but the main experiment."""

import re

import pyarrow.compute as pc
import pytest
import yaml

from minituner.corpus import generate, tables
from minituner.corpus.rows import csv_rows
from minituner.corpus.verbs import PASTS, PERSONS, alternatives
from minituner.workflow import settings
from tests.support.tiny_project import ROOT

FOLDER = ROOT / "studies" / "forty_verbs"
VERBS = tables.read_verbs(FOLDER / "verbs.csv")
TEMPLATES = tables.read_templates(FOLDER / "templates.csv", VERBS)
IRREGULAR = [verb for verb in VERBS.values() if not verb.regular]


def rows(path):
    return [row for row, _ in csv_rows(path, lambda columns, fault: None)]


def flat(section, name=""):
    """Settings as a flat dict: `sweep.ranks` → [1, 8]."""
    if not isinstance(section, dict):
        return {name[1:]: section}
    return {k: v for key in section for k, v in flat(section[key], f"{name}.{key}").items()}


def third_person(stem):
    """The form with -s by the rule of the grammar books (Quirk et al. 1985, section 3.5)."""
    if re.search(r"(s|x|z|ch|sh|o)$", stem):
        return stem + "es"
    return re.sub(r"([^aeiou])y$", r"\1ie", stem) + "s"


def test_there_are_forty_irregular_verbs_and_the_twelve_regular_ones():
    assert (len(IRREGULAR), len(VERBS)) == (40, 52)
    one_past = [v.lemma for v in IRREGULAR if v.forms["past_simple"] == v.forms["past_participle"]]
    assert 15 <= len(one_past) <= 25


def test_the_twenty_verbs_of_the_main_experiment_are_the_same_row_by_row():
    main = rows(ROOT / "data" / "verbs.csv")
    mine = {row["lemma"]: row for row in rows(FOLDER / "verbs.csv")}
    assert len(main) == 20 and all(mine[row["lemma"]] == row for row in main)


def test_subjects_times_and_helping_words_are_the_main_experiments_and_objects_are_added():
    main, mine = (rows(folder / "templates.csv") for folder in (ROOT / "data", FOLDER))
    assert [row for row in mine if row in main] == main
    added = [row for row in mine if row not in main]
    assert {row["kind"] for row in added} == {"object"}
    assert {row["verb"] for row in added} == set(VERBS) - {row["verb"] for row in main}
    assert {len(texts) for texts in TEMPLATES.objects.values()} == {6}


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
def test_third_person_and_future_follow_the_grammars_rule(verb):
    exceptions = {"be": "is", "have": "has"}
    expected = exceptions.get(verb.lemma, third_person(verb.lemma))
    assert verb.form("present_simple", "3sg") == expected
    stem = verb.form("infinitive", "3sg")
    assert verb.form("simple_future", "3sg") == f"will {stem}" == f"will {verb.lemma}"


@pytest.mark.parametrize("verb", IRREGULAR, ids=[verb.lemma for verb in IRREGULAR])
def test_every_irregular_past_has_the_regular_rules_form_as_a_rival(verb):
    assert all(verb.form("past_simple", person) != verb.lemma for person in PERSONS)
    for tense in PASTS:
        for person in PERSONS:
            assert "over_regularized" in alternatives(verb, tense, person)


def test_every_sentence_fits_the_context(monkeypatch):
    monkeypatch.chdir(FOLDER)
    made = settings.load("params.yaml")
    # Two line ends stand around a sentence.
    longest = made["model"]["context"] - 2
    texts = generate.generate(made["corpus"], VERBS, TEMPLATES).select(["text", "correct_text"])
    for column in texts.columns:
        assert 50 < pc.max(pc.utf8_length(column)).as_py() <= longest


def test_settings_differ_from_the_main_ones_only_where_the_task_does(monkeypatch):
    monkeypatch.chdir(FOLDER)
    mine = settings.load("params.yaml")
    main = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    one, other = flat(mine), flat(main)
    assert {key for key in one | other if one.get(key) != other.get(key)} == {
        "corpus.verbs",
        "corpus.templates",
        "base.steps",
        "sweep.ranks",
        "sweep.seeds",
        "sweep.qlora_ranks",
    }
