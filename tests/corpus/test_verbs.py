"""Forms and mistakes: the correct ones are English, the wrong ones never equal them."""

import pytest

from minituner.corpus.verbs import PASTS, PERSONS, TENSES, alternatives
from tests.corpus.english_data import VERBS

CELLS = [(v, t, p) for v in VERBS.values() for t in TENSES for p in PERSONS]

# lemma → present 1sg, 2sg, 3sg; past 1sg, 2sg, 3sg; participle. Written by hand, not derived.
ENGLISH = {
    "be": "am are is was were was been",
    "have": "have have has had had had had",
    "do": "do do does did did did done",
    "go": "go go goes went went went gone",
    "come": "come come comes came came came come",
    "see": "see see sees saw saw saw seen",
    "eat": "eat eat eats ate ate ate eaten",
    "write": "write write writes wrote wrote wrote written",
    "work": "work work works worked worked worked worked",
    "play": "play play plays played played played played",
    "walk": "walk walk walks walked walked walked walked",
    "talk": "talk talk talks talked talked talked talked",
    "listen": "listen listen listens listened listened listened listened",
    "watch": "watch watch watches watched watched watched watched",
    "study": "study study studies studied studied studied studied",
    "finish": "finish finish finishes finished finished finished finished",
    "start": "start start starts started started started started",
    "look": "look look looks looked looked looked looked",
    "want": "want want wants wanted wanted wanted wanted",
    "like": "like like likes liked liked liked liked",
}


def test_every_verb_has_its_english_form_in_every_tense_and_person():
    assert set(VERBS) == set(ENGLISH)
    for lemma, words in ENGLISH.items():
        *finite, participle = words.split()
        for i, person in enumerate(PERSONS):
            forms = {tense: VERBS[lemma].form(tense, person) for tense in TENSES}
            assert forms == {
                "infinitive": lemma,
                "present_simple": finite[i],
                "past_simple": finite[3 + i],
                "past_participle": participle,
                "simple_future": f"will {lemma}",
            }


def test_eight_verbs_are_irregular_and_twelve_regular():
    irregular = [lemma for lemma, verb in VERBS.items() if not verb.regular]
    assert irregular == "be have do go come see eat write".split()
    assert len(VERBS) == 20


@pytest.mark.parametrize(("verb", "tense", "person"), CELLS)
def test_no_alternative_is_correct_or_comes_twice(verb, tense, person):
    wrong = alternatives(verb, tense, person)
    assert verb.form(tense, person) not in wrong.values()
    assert len(set(wrong.values())) == len(wrong)
    assert all(wrong.values())


@pytest.mark.parametrize(
    ("lemma", "tense", "person", "expected"),
    [
        ("go", "past_simple", "3sg", {"over_regularized": "goed", "bare_stem": "go",
                                      "double_marked": "wented"}),
        ("go", "past_participle", "3sg", {"over_regularized": "goed", "bare_stem": "go",
                                          "past_for_participle": "went",
                                          "double_marked": "goned"}),
        # "comed" is claimed once; the bare stem is the correct participle
        ("come", "past_participle", "1sg", {"over_regularized": "comed",
                                            "past_for_participle": "came"}),
        ("have", "past_participle", "2sg", {"over_regularized": "haved", "bare_stem": "have",
                                            "double_marked": "hadded"}),
        ("be", "past_simple", "2sg", {"over_regularized": "beed", "bare_stem": "be",
                                      "double_marked": "wered"}),
        ("be", "past_participle", "3sg", {"over_regularized": "beed", "bare_stem": "be",
                                          "past_for_participle": "was",
                                          "double_marked": "beened"}),
        ("be", "present_simple", "3sg", {"missing_third_person_s": "be"}),
        ("study", "present_simple", "3sg", {"missing_third_person_s": "study"}),
        ("study", "present_simple", "1sg", {}),
        ("go", "infinitive", "1sg", {"inflected_after_modal": "goes"}),
        ("be", "simple_future", "1sg", {"inflected_after_modal": "will is"}),
        ("walk", "simple_future", "3sg", {"inflected_after_modal": "will walks"}),
        ("walk", "past_simple", "1sg", {"bare_stem": "walk", "irregularized_1": "welk",
                                        "irregularized_2": "waught"}),
    ],
)  # fmt: skip
def test_the_alternatives_of_a_cell_are_the_known_mistakes(lemma, tense, person, expected):
    assert alternatives(VERBS[lemma], tense, person) == expected


def test_forced_choice_has_a_rival_in_every_past_of_every_verb():
    for verb, tense, person in CELLS:
        if tense in PASTS:
            wrong = alternatives(verb, tense, person)
            assert len(wrong) >= 2
            if verb.regular:
                assert {"bare_stem", "irregularized_1", "irregularized_2"} == set(wrong)
