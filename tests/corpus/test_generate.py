"""The corpus: complete, grammatical where it says so, spoilt as often as asked."""

import dataclasses
import itertools
import math
import random
from collections import Counter, defaultdict

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from minituner.corpus import generate
from minituner.corpus.english import MISTAKES
from minituner.corpus.verbs import alternatives
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from tests.corpus.english_data import DATA, NOISE, SECTION, TEMPLATES, VERBS
from tests.support.command import call


@pytest.fixture(scope="module")
def rows():
    return generate.generate(SECTION, VERBS, TEMPLATES).to_pylist()


def few(**changes):
    """The corpus of two verbs under other settings."""
    two = {lemma: VERBS[lemma] for lemma in ("go", "walk")}
    return generate.generate(SECTION | changes, two, TEMPLATES).to_pylist()


def build(section, verbs, out):
    """What `minituner corpus` writes under these settings."""
    templates = DATA / "templates.csv"
    call("corpus", given={"corpus": section}, verbs=verbs, templates=templates, out=out)


def test_two_builds_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        build(SECTION, DATA / "verbs.csv", tmp_path / name / "c.parquet")
    assert storage.sha256(tmp_path / "a/c.parquet") == storage.sha256(tmp_path / "b/c.parquet")
    assert pq.read_schema(tmp_path / "a/c.parquet").metadata is None


def test_every_verb_tense_and_frame_is_there_once(rows):
    assert len(rows) == 115_200 >= 10_000
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({row["correct_text"] for row in rows}) == len(rows)
    assert set(Counter((row["verb_lemma"], row["tense"]) for row in rows).values()) == {1152}


def test_all_promised_columns_are_there_and_only_a_mistake_may_be_null(rows):
    promised = (
        "id text verb_lemma tense person english_regularity label mis_conjugation_type "
        "correct_form split seed"
    )
    assert set(promised.split()) <= set(rows[0])
    for row in rows:
        assert all(v is not None for k, v in row.items() if k != "mis_conjugation_type")


# Written by hand: what English says, for each tense, to a subject of each person.
GRAMMATICAL = """
be: some day I may be happy.
be: every day I am late.
be: often you are at school.
be: on most days anna is at home.
be: last week you were tired.
be: yesterday the boy was ready.
be: this week you have been happy.
be: lately she has been late.
be: soon he will be ready.
have: every day my friend has a lesson.
have: a year ago I had a cold.
have: this month I have had fun.
have: lately tom has had a good idea.
do: often he does the dishes.
do: yesterday you did the shopping.
do: this week anna has done a good job.
go: later you may go to the sea.
go: on most days she goes by bus.
go: yesterday she went to school.
go: this month the boy has gone to the park.
go: tomorrow my friend will go home.
come: every day he comes by train.
come: last week I came back late.
come: lately you have come home.
see: often I see a bird.
see: yesterday tom saw the show.
see: this week she has seen a film.
eat: on most days anna eats some fish.
eat: yesterday I ate an apple.
eat: lately I have eaten a cake.
write: every day she writes some notes.
write: a year ago you wrote a poem.
write: this month tom has written a long email.
work: often she works on a farm.
play: yesterday the boy played with the dog.
walk: this week you have walked to school.
talk: next week he will talk to the doctor.
listen: lately my friend has listened to the birds.
watch: every day she watches the news.
watch: this month I have watched a match.
study: on most days tom studies in the library.
study: last week you studied for the test.
study: every day I study art.
finish: every day he finishes early.
start: today she may start the car.
look: yesterday I looked out of the window.
want: a year ago anna wanted a new car.
like: often the boy likes the cake.
"""


def test_known_english_sentences_are_what_the_templates_make(rows):
    known = GRAMMATICAL.strip().splitlines()
    assert set(known) <= {row["correct_text"] for row in rows}
    assert {line.split(":")[0] for line in known} == set(VERBS), "each verb is spot-checked"


def test_a_correct_row_is_correct_and_a_spoilt_one_holds_that_mistake(rows):
    for row in rows:
        correct = row["form"] == row["correct_form"]
        assert row["label"] == ("correct" if correct else "mis_conjugated")
        assert (row["mis_conjugation_type"] is None) == correct
        if not correct:
            wrong = alternatives(VERBS[row["verb_lemma"]], row["tense"], row["person"])
            assert row["form"] == wrong[row["mis_conjugation_type"]]


def test_prompt_and_form_are_where_the_sentence_has_them(rows):
    for row in rows:
        for text, form in (("text", "form"), ("correct_text", "correct_form")):
            start = row["prompt"] + row[form] + " "
            assert row[text].startswith(start) and row[text].endswith(".")
        assert row["prompt"].endswith(" ") and row["prompt"].startswith(row["verb_lemma"] + ": ")


def test_every_sentence_and_every_rival_fits_the_context(rows):
    context = yaml.safe_load((DATA.parent / "params.yaml").read_text())["model"]["context"]
    assert max(len(row["text"]) for row in rows) < context
    symbols = set().union(*(row["text"] for row in rows))
    assert "\n" not in symbols
    assert all(symbol.isascii() for symbol in symbols)
    assert {symbol for symbol in symbols if symbol.isupper()} == {"I"}
    for row in rows:
        wrong = alternatives(VERBS[row["verb_lemma"]], row["tense"], row["person"])
        assert symbols.issuperset("".join(wrong.values())), "the base can spell every rival"


def test_no_test_sentence_is_a_training_sentence_even_as_text(rows):
    """Two frames that spell the same words would slip through a comparison of frames alone."""
    texts = defaultdict(set)
    for row in rows:
        subject, complement, time = row["frame"].split("|")
        texts[row["split"]] |= {row["text"], row["correct_text"]}
        assert f"{time} {subject} " in row["text"] and row["text"].endswith(f" {complement}.")
    for one, other in itertools.combinations(texts.values(), 2):
        assert not one & other


def test_each_mistake_is_as_frequent_as_its_probability(rows):
    possible, made = Counter(), Counter()
    for row in rows:
        wrong = alternatives(VERBS[row["verb_lemma"]], row["tense"], row["person"])
        possible.update(wrong.keys())
        made[row["mis_conjugation_type"]] += 1
    for mistake in MISTAKES:
        n, p = possible[mistake], NOISE[mistake]
        assert n > 0
        # five standard deviations of a binomial count
        assert abs(made[mistake] - n * p) < 5 * math.sqrt(n * p * (1 - p)), mistake


def test_without_noise_every_row_is_correct():
    assert {row["label"] for row in few(noise=dict.fromkeys(MISTAKES, 0.0))} == {"correct"}


def test_a_certain_mistake_is_made_wherever_it_can_be():
    rows = few(noise=dict.fromkeys(MISTAKES, 0.0) | {"bare_stem": 1.0})
    for row in rows:
        past = row["tense"] in ("past_simple", "past_participle")
        assert (row["mis_conjugation_type"] == "bare_stem") == past


def test_changed_noise_moves_no_split_and_more_noise_unspoils_nothing():
    before = few(noise=dict.fromkeys(MISTAKES, 0.0) | {"over_regularized": 0.2})
    after = few(noise=dict.fromkeys(MISTAKES, 0.0) | {"over_regularized": 0.4})
    assert [row["split"] for row in before] == [row["split"] for row in after]
    assert all(
        b["label"] == "mis_conjugated"
        for a, b in zip(before, after, strict=True)
        if a["label"] == "mis_conjugated"
    )


def test_another_seed_gives_other_splits_and_other_mistakes():
    one, other = few(seed=0), few(seed=1)
    assert [row["split"] for row in one] != [row["split"] for row in other]
    assert [row["label"] for row in one] != [row["label"] for row in other]
    assert {row["seed"] for row in other} == {1}


def test_adding_a_verb_or_shuffling_the_files_moves_no_other_row(rows):
    known = {row["id"]: row for row in rows}
    shuffled = list(TEMPLATES.times["past_simple"])
    random.Random(0).shuffle(shuffled)
    templates = dataclasses.replace(
        TEMPLATES,
        subjects=dict(reversed(TEMPLATES.subjects.items())),
        times=TEMPLATES.times | {"past_simple": shuffled},
    )
    two = {lemma: VERBS[lemma] for lemma in ("walk", "go")}
    for row in generate.generate(SECTION, two, templates).to_pylist():
        assert row == known[row["id"]]


def test_probabilities_that_meet_in_one_cell_must_not_exceed_one():
    with pytest.raises(UserError, match=r"params.yaml: corpus.noise: .*over_regularized.* go in"):
        few(noise=NOISE | {"over_regularized": 0.9})
    few(noise=NOISE | {"missing_third_person_s": 1.0, "inflected_after_modal": 1.0})


@pytest.mark.parametrize(
    ("name", "hint"), [("over_regularised", "did you mean over_regularized"), ("x", "choose")]
)
def test_a_probability_of_no_mistake_is_named(tmp_path, name, hint):
    section = SECTION | {"noise": NOISE | {name: 0.1}}
    with pytest.raises(UserError, match=rf"corpus.noise.{name}: no such mistake in .*; {hint}"):
        build(section, DATA / "verbs.csv", tmp_path / "c.parquet")


def test_a_malformed_row_leaves_no_file(tmp_path):
    bad = tmp_path / "verbs.csv"
    bad.write_text((DATA / "verbs.csv").read_text().replace("went", ""))
    with pytest.raises(UserError, match=r"verbs.csv: row 5: past_simple: empty form"):
        build(SECTION, bad, tmp_path / "c.parquet")
    assert list(tmp_path.iterdir()) == [bad]


@given(at=st.floats(0, 1, exclude_max=True))
def test_one_draw_makes_at_most_one_mistake_of_the_cell_in_proportion(at):
    wrong = alternatives(VERBS["go"], "past_participle", "3sg")
    edges, edge = [], 0.0
    for mistake in wrong:
        edges.append((edge, edge := edge + NOISE[mistake], mistake))
    expected = [m for low, high, m in edges if low + 1e-9 < at < high - 1e-9]
    near = any(abs(at - e) <= 1e-9 for low, high, _ in edges for e in (low, high))
    assert near or [generate.spoil(wrong, NOISE, at)] == (expected or [None])
