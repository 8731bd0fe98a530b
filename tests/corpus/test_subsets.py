"""The subsets: disjoint, balanced, correct, and sets that tuning knows less and less of."""

from collections import Counter, defaultdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minituner.corpus import subsets
from minituner.corpus.splits import FURTHER, SPLITS
from minituner.corpus.verbs import PASTS, TENSES, alternatives
from minituner.foundation import parquet, storage
from minituner.foundation.errors import UserError
from tests.corpus.english_data import DATA, SECTION, VERBS
from tests.support.command import call

SETTINGS = {
    "seed": 0,
    "train": 400,
    "val": 100,
    "test": 400,
    "control_val": 240,
    "control_test": 600,
    "unseen_cells": [["write", "past_simple"], ["see", "past_participle"]],
    "unseen_subjects": ["lucy", "the man"],
}
UNSEEN = {tuple(cell) for cell in SETTINGS["unseen_cells"]}
SUBJECTS = set(SETTINGS["unseen_subjects"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the real corpus and both sets made from it."""
    folder = tmp_path_factory.mktemp("made")
    verbs, templates = DATA / "verbs.csv", DATA / "templates.csv"
    out = folder / "corpus.parquet"
    call("corpus", given={"corpus": SECTION}, verbs=verbs, templates=templates, out=out)
    build(folder, folder)
    return folder


def build(made, out, **changes):
    call(
        "subsets",
        given={"subsets": SETTINGS | changes},
        corpus=made / "corpus.parquet",
        verbs=DATA / "verbs.csv",
        irregular=out / "irregular.parquet",
        control=out / "control.parquet",
    )
    return [read(out, name) for name in ("irregular", "control")]


def read(folder, name):
    return parquet.read_table(folder / f"{name}.parquet").to_pylist()


@pytest.fixture(scope="module")
def whole(made):
    return {row["id"]: row for row in read(made, "corpus")}


@pytest.fixture(scope="module")
def irregular(made):
    return read(made, "irregular")


@pytest.fixture(scope="module")
def control(made):
    return read(made, "control")


def cell(row):
    return row["verb_lemma"], row["tense"]


def subject(row):
    return row["frame"].split("|")[0]


def prompts(rows, *splits):
    return {row["prompt"] for row in rows if row["split"] in splits}


def test_two_builds_give_the_same_bytes(made, tmp_path):
    build(made, tmp_path)
    for name in ("irregular.parquet", "control.parquet"):
        assert storage.sha256(made / name) == storage.sha256(tmp_path / name)


def test_the_sizes_are_those_asked_for(irregular, control):
    sizes = Counter((row["set"], row["split"]) for row in irregular)
    further = {sizes.pop((name, "train" if name == "seen" else "test")) for name in FURTHER}
    assert sizes == {("irregular", split): SETTINGS[split] for split in SPLITS}
    assert all(40 < size <= subsets.MOST for size in further)
    assert Counter(row["split"] for row in control) == {"val": 240, "test": 600}


def test_no_test_prompt_was_read_in_any_training_the_bases_included(whole, irregular, control):
    """The corpus's train rows train the base, its val rows judge it; irregular train rows tune."""
    for subset in (irregular, control):
        read = prompts(whole.values(), "train", "val") | prompts(irregular, "train", "val")
        assert not prompts(subset, "test") & read
        read = prompts(whole.values(), "train") | prompts(irregular, "train")
        assert not prompts(subset, "val") & read


def test_each_prompt_is_scored_once(irregular, control):
    for rows in (irregular, control):
        scored = Counter(
            row["prompt"] for row in rows if row["split"] != "train" or row["set"] == "seen"
        )
        assert set(scored.values()) == {1}


def test_no_held_out_sentence_was_trained_on_even_as_text(whole, irregular, control):
    trained = {row[k] for row in whole.values() if row["split"] == "train"
               for k in ("text", "correct_text")}  # fmt: skip
    trained |= {row["text"] for row in irregular if row["split"] == "train"}
    held_out = {row["text"] for row in irregular + control if row["split"] != "train"}
    assert held_out and not held_out & trained


def test_what_tuning_saw_is_scored_with_sentences_that_it_did_not_see(irregular):
    tuned = [r for r in irregular if (r["set"], r["split"]) == ("irregular", "train")]
    seen = [row for row in irregular if row["set"] == "seen"]
    assert {row["prompt"] for row in seen} <= {row["prompt"] for row in tuned}
    assert not {row["text"] for row in seen} & {row["text"] for row in tuned}


def test_each_further_set_is_one_step_from_the_test(irregular):
    """New pairs throughout, and beside them new subjects, or a new cell, or other tenses."""
    for row in irregular:
        steps = {
            "subject": subject(row) in SUBJECTS,
            "cell": cell(row) in UNSEEN,
            "tenses": row["tense"] not in PASTS,
        }
        taken = [name for name, step in steps.items() if step]
        assert taken == ([row["set"]] if row["set"] in steps else [])
        assert row["set"] != "seen" or row["split"] == "train"
        assert row["set"] not in steps or row["split"] == "test"
    assert {cell(row) for row in irregular if row["set"] == "cell"} == UNSEEN
    assert {subject(row) for row in irregular if row["set"] == "subject"} == SUBJECTS


def test_no_sentence_comes_twice_and_both_files_are_sorted(irregular, control):
    for rows in (irregular, control):
        keys = [(row["set"], row["id"]) for row in rows]
        assert keys == sorted(keys) and len({row["id"] for row in rows}) == len(rows)


def test_the_irregular_set_holds_irregular_pasts_and_the_control_set_regular_verbs(
    irregular, control
):
    assert {cell(row) for row in irregular if row["set"] != "tenses"} == {
        (lemma, tense) for lemma, verb in VERBS.items() if not verb.regular for tense in PASTS
    }
    assert {cell(row) for row in control} == {
        (lemma, tense) for lemma, verb in VERBS.items() if verb.regular for tense in TENSES
    }


def test_all_sentences_are_correct_and_as_the_corpus_has_them(whole, irregular, control):
    for row in irregular + control:
        origin = whole[row["id"]]
        assert row["text"] == origin["correct_text"]
        assert row["form"] == origin["correct_form"]
        for key in ("prompt", "verb_lemma", "tense", "person", "frame", "pair", "split"):
            assert row[key] == origin[key]
        assert row["text"].startswith(row["prompt"] + row["form"] + " ")


def test_rivals_are_the_mistakes_that_the_corpus_is_spoilt_with(irregular, control):
    for row in irregular + control:
        wrong = alternatives(VERBS[row["verb_lemma"]], row["tense"], row["person"])
        assert row["alternatives"] == list(wrong.values())
        if row["tense"] in PASTS:
            assert len(row["alternatives"]) >= 2


def test_the_cells_are_as_even_as_can_be(irregular, control):
    groups = defaultdict(Counter)
    for row in irregular:
        if row["set"] == "irregular":
            groups["irregular", row["split"]][cell(row)] += 1
    for row in control:
        groups["control", row["split"]][cell(row)] += 1
    for (name, split), sizes in groups.items():
        assert len(sizes) == (14 if name == "irregular" else 60)
        assert max(sizes.values()) - min(sizes.values()) <= 1, (name, split)


def test_all_persons_are_in_every_split(irregular, control):
    for rows in (irregular, control):
        pairs = {(row["split"], row["person"]) for row in rows}
        assert len(pairs) == 3 * len({row["split"] for row in rows})


def test_asking_for_more_keeps_what_was_drawn_and_touches_no_other_split(made, tmp_path, irregular):
    more, _ = build(made, tmp_path, train=450)
    by_id = {row["id"]: row for row in more}
    own = [row for row in irregular if row["set"] != "seen"]  # more prompts are seen now
    assert all(by_id.get(row["id"]) == row for row in own)
    assert len([row for row in more if row["set"] != "seen"]) == len(own) + 50


def test_another_seed_draws_other_sentences(made, tmp_path, irregular):
    other, _ = build(made, tmp_path, seed=1)
    assert {r["id"] for r in other} != {r["id"] for r in irregular}


def test_without_unseen_cells_and_subjects_there_are_no_such_sets(made, tmp_path):
    rows, _ = build(made, tmp_path, unseen_cells=[], unseen_subjects=[])
    assert not {"cell", "subject"} & {row["set"] for row in rows}
    assert len({cell(row) for row in rows if row["split"] == "train"}) == 16
    assert SUBJECTS < {subject(row) for row in rows if row["split"] == "train"}


@pytest.mark.parametrize("name", ["train", "val", "test", "control_val", "control_test"])
def test_too_few_sentences_are_counted_for_the_user(made, tmp_path, name):
    with pytest.raises(UserError, match=rf"subsets.{name}: 99999 wanted but .* has \d+ such"):
        build(made, tmp_path, **{name: 99999})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [["walk", "past_simple"], ["go", "present_perfect"], ["fly", "past_simple"]]
)
def test_an_unseen_cell_that_does_not_exist_is_named(made, tmp_path, wrong):
    with pytest.raises(UserError, match=rf"subsets.unseen_cells\[1\]: {' '.join(wrong)}: no irr"):
        build(made, tmp_path, unseen_cells=[["go", "past_simple"], wrong])


def test_an_unseen_subject_that_does_not_exist_is_named(made, tmp_path):
    with pytest.raises(UserError, match=r"subsets.unseen_subjects\[1\]: the me: no subject that"):
        build(made, tmp_path, unseen_subjects=["lucy", "the me"])


def test_a_truncated_corpus_is_refused_in_one_line(made, tmp_path):
    whole = (made / "corpus.parquet").read_bytes()
    (tmp_path / "corpus.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="corpus.parquet: not a readable Parquet file") as error:
        build(tmp_path, tmp_path)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.parquet"]


def test_a_corpus_without_a_column_is_refused(made, tmp_path):
    table = parquet.read_table(made / "corpus.parquet").drop_columns(["frame"])
    parquet.write_table(tmp_path / "corpus.parquet", table)
    with pytest.raises(UserError, match="corpus.parquet: column frame: missing"):
        build(tmp_path, tmp_path)


@pytest.mark.parametrize(
    "changes", [{"correct_form": "goed"}, {"verb_lemma": "fly"}, {"tense": "past"}]
)
def test_a_corpus_made_from_other_verbs_is_refused(made, tmp_path, changes):
    rows = read(made, "corpus")
    rows[-1] |= changes
    parquet.write_table(tmp_path / "corpus.parquet", pa.Table.from_pylist(rows))
    with pytest.raises(UserError, match="not what the verbs file says; make the corpus again"):
        build(tmp_path, tmp_path)


@given(available=st.lists(st.integers(0, 30), min_size=1, max_size=20), wanted=st.integers(0, 400))
def test_quotas_use_what_there_is_and_are_as_even_as_it_allows(available, wanted):
    taken = subsets.quotas(available, wanted)
    assert sum(taken) == min(wanted, sum(available))
    assert all(0 <= t <= a for t, a in zip(taken, available, strict=True))
    unexhausted = [t for t, a in zip(taken, available, strict=True) if t < a]
    if unexhausted:
        assert max(taken) - min(unexhausted) <= 1


@given(wanted=st.integers(0, 12))
def test_a_draw_has_exactly_the_wanted_number_even_below_one_a_cell(wanted):
    rows = [
        {"id": f"{verb}{i}", "verb_lemma": verb, "tense": "past_simple"}
        for verb in ("go", "see", "eat", "do")
        for i in range(3)
    ]
    drawn = subsets.draw(pa.Table.from_pylist(rows), wanted, 0, "some").to_pylist()
    assert len({row["id"] for row in drawn}) == len(drawn) == wanted
    other = subsets.draw(pa.Table.from_pylist(rows[::-1]), wanted, 0, "some").to_pylist()
    assert drawn == other, "the corpus's order decides nothing"
