"""Pairs: nothing that a score can see is in two splits, and every split has all there is."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minituner.corpus import generate, own_sentences, splits, tables
from minituner.corpus.verbs import PERSONS, TENSES
from minituner.foundation.errors import UserError
from tests.corpus.english_data import SECTION, TEMPLATES, VERBS
from tests.support.tiny_project import ROOT

SHARES = SECTION["splits"]
SPANISH = ROOT / "examples" / "spanish"
KEYS = st.lists(st.lists(st.integers(0, 12), max_size=3).map(tuple), max_size=20)


def english():
    return generate.generate(SECTION, VERBS, TEMPLATES).to_pylist()


def spanish():
    verbs = tables.read_verbs(SPANISH / "verbs.csv")
    section = SECTION | {"noise": {}, "templates": "templates.csv"}
    templates = tables.read_templates(SPANISH / "templates.csv", verbs)
    return generate.generate(section, verbs, templates).to_pylist()


def own():
    """A user's rows, without splits: the same beginnings with other ends, and the reverse."""
    rows = [
        {
            **{"row": i, "text": f"go: {a} went {b}.", "prompt": f"go: {a} ", "frame": f"{c}"},
            **{"person": "3sg", "tense": "past_simple", "pair": None, "split": None},
        }
        for i, (a, b, c) in enumerate((i % 40, i % 7, i // 2) for i in range(120))
    ]
    own_sentences.split(rows, "own.csv", 0, SHARES)
    return rows


@pytest.mark.parametrize("made", [english, spanish, own])
def test_no_prompt_of_one_split_is_in_another(made):
    """The strings themselves, as a model reads them, and with them the sentences."""
    prompts, texts = defaultdict(set), defaultdict(set)
    for row in made():
        prompts[row["split"]].add(row["prompt"])
        texts[row["split"]].add(row["text"])
    assert set(prompts) == set(splits.SPLITS)
    for one, other in itertools.combinations(splits.SPLITS, 2):
        assert not prompts[one] & prompts[other] and not texts[one] & texts[other]


@pytest.mark.parametrize("made", [english, spanish])
def test_subject_and_time_are_held_out_together_and_each_split_has_all_persons_and_tenses(made):
    homes, cells = defaultdict(set), defaultdict(set)
    for row in made():
        subject, _, time = row["frame"].split("|")
        homes[subject, time].add(row["split"])
        cells[row["split"]].add((row["person"], row["tense"]))
    assert all(len(home) == 1 for home in homes.values())
    assert all(len(cell) == len(PERSONS) * len(TENSES) for cell in cells.values())
    sizes = [sum(home == {split} for home in homes.values()) for split in splits.SPLITS]
    for size, split in zip(sizes, splits.SPLITS, strict=True):
        assert abs(size / len(homes) - SHARES[split]) < 0.02


@given(keys=KEYS)
def test_rows_hang_together_exactly_when_a_chain_of_common_keys_joins_them(keys):
    firsts = splits.connected(keys)
    joined = [
        {i} | {j for j, k in enumerate(keys) if set(k) & set(own)} for i, own in enumerate(keys)
    ]
    for _ in keys:
        joined = [set().union(*(joined[j] for j in own)) for own in joined]
    assert firsts == [min(own) for own in joined]


def test_pairs_of_which_no_two_are_alike_are_shared_out_all_the_same():
    homes = splits.assign({f"{i}|x": frozenset([i]) for i in range(20)}, 0, SHARES)
    assert sorted(homes.values()) == ["test"] * 4 + ["train"] * 14 + ["val"] * 2


def test_a_split_that_is_nearly_everything_leaves_the_others_one():
    cells = {f"{i}|x": frozenset() for i in range(5)}
    homes = splits.assign(cells, 0, {"train": 0.01, "val": 0.01, "test": 0.98})
    assert sorted(homes.values()) == ["test", "test", "test", "train", "val"]


@given(n=st.integers(0, 60), seed=st.integers(0, 2**32 - 1), order=st.randoms())
def test_each_stratum_is_shared_out_as_asked_whatever_the_order(n, seed, order):
    cells = {f"{i}|x": frozenset([i % 2]) for i in range(n)}
    homes = splits.assign(cells, seed, SHARES)
    shuffled = list(cells.items())
    order.shuffle(shuffled)
    assert splits.assign(dict(shuffled), seed, SHARES) == homes
    for stratum in (0, 1):
        own = [homes[pair] for pair, cell in cells.items() if stratum in cell]
        for split in splits.SPLITS if len(own) > 2 else ():
            assert abs(own.count(split) - len(own) * SHARES[split]) <= 1.5
            assert own.count(split)


def test_an_object_before_the_form_belongs_to_what_is_held_out_and_a_late_time_does_not():
    go = {"go": VERBS["go"]}
    order = "{time} {subject} {auxiliary} {object} {form}."
    early = TEMPLATES.__class__(**vars(TEMPLATES) | {"patterns": dict.fromkeys(TENSES, order)})
    prompts = defaultdict(set)
    for row in generate.generate(SECTION, go, early).to_pylist():
        prompts[row["prompt"]].add(row["split"])
    assert all(len(home) == 1 for home in prompts.values())
    late = order.replace("{time} ", "").replace(".", " {time}.")
    late = TEMPLATES.__class__(**vars(TEMPLATES) | {"patterns": {"past_simple": late}})
    homes = defaultdict(set)
    for row in generate.generate(SECTION, go, late).to_pylist():
        if row["tense"] == "past_simple":
            homes[row["frame"].split("|")[0]].add(row["split"])
    assert all(len(home) == 1 for home in homes.values()), "a subject is all that a prompt has"


def test_too_few_beginnings_to_hold_any_out_are_named():
    few = TEMPLATES.__class__(**vars(TEMPLATES) | {
        "subjects": TEMPLATES.subjects | {"1sg": ["I"]},
        "times": TEMPLATES.times | {"past_simple": ["yesterday", "last week"]},
    })  # fmt: skip
    with pytest.raises(UserError, match="subject: too few beginnings .* 1sg in past_simple: each"):
        generate.generate(SECTION, {"go": VERBS["go"]}, few)


def row(number, text, prompt, split=None, frame=None):
    return {
        **{"row": number, "text": text, "prompt": prompt, "frame": frame or text, "split": split},
        **{"person": "3sg", "tense": "past_simple", "pair": None},
    }


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (row(9, "Go:  she went HOME.", "Go: x ", "test"), "has the same text"),
        (row(9, "go: she went out.", "GO:  she ", "test"), "has the same prompt"),
        (row(9, "go: it went.", "go: it ", "test", "f"), "has the same frame"),
    ],
)
def test_what_a_score_would_find_again_is_refused_with_both_rows(other, shared):
    rows = [row(2, "go: she went home.", "go: she ", "train", "f"), other]
    with pytest.raises(UserError) as error:
        own_sentences.split(rows, "a.csv", 0, SHARES)
    told = f"a.csv: row 9: split: test, but row 2, which {shared}, is in train; keep both in one"
    assert str(error.value).startswith(told)


def test_a_row_without_a_split_joins_the_rows_that_it_hangs_together_with():
    rows = [
        row(2, "a x", "a ", "test"),
        row(3, "a y", "a ", frame="f"),
        row(4, "b y", "b ", frame="f"),
        row(5, "c z", "c ", "train"),
    ]
    own_sentences.split(rows, "a.csv", 0, SHARES)
    assert [row["split"] for row in rows] == ["test", "test", "test", "train"]
    for changed, split in zip(rows, ("test", None, "train", None), strict=True):
        changed |= {"split": split, "pair": None}
    with pytest.raises(UserError, match="row 4: .* row 2, which hangs together with it by others"):
        own_sentences.split(rows, "a.csv", 0, SHARES)


def test_sentences_that_all_begin_alike_cannot_be_held_out():
    rows = [row(i, f"go: she went {i}", "go: she ") for i in range(9)]
    with pytest.raises(UserError, match="a.csv: prompt: all sentences hang together"):
        own_sentences.split(rows, "a.csv", 0, SHARES)
