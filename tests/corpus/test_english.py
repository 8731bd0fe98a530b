"""English spelling, and verbs whose wrong forms its rules make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minituner.corpus import english
from minituner.corpus.verbs import PERSONS, TENSES, alternatives
from tests.corpus.english_data import VERBS


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("go", "goed"), ("have", "haved"), ("be", "beed"), ("do", "doed"), ("come", "comed"),
        ("see", "seed"), ("eat", "eated"), ("write", "writed"), ("went", "wented"),
        ("had", "hadded"), ("did", "didded"), ("saw", "sawed"), ("was", "wased"),
        ("written", "writtened"), ("study", "studied"), ("play", "played"), ("stop", "stopped"),
        ("listen", "listened"), ("look", "looked"), ("like", "liked"), ("fix", "fixed"),
    ],
)  # fmt: skip
def test_ed_is_added_by_the_spelling_rules(stem, expected):
    assert english.add_ed(stem) == expected


def test_a_regular_past_is_what_the_spelling_rules_make():
    for verb in VERBS.values():
        if verb.regular:
            assert verb.form("past_simple", "1sg") == english.add_ed(verb.lemma)


WORD = st.text("abdeiosty", min_size=1, max_size=5)


@given(stem=WORD, third=WORD, past=WORD, participle=WORD, tense=st.sampled_from(TENSES),
       person=st.sampled_from(PERSONS), regular=st.booleans())  # fmt: skip
def test_alternatives_stay_distinct_whatever_the_verb(
    stem, third, past, participle, tense, person, regular
):
    forms = {
        "infinitive": (stem,) * 3,
        "present_simple": (stem, stem, third),
        "past_simple": (past,) * 3,
        "past_participle": (participle,) * 3,
        "simple_future": (f"will {stem}",) * 3,
    }
    verb = english.conjugated(stem, regular, forms, ("xx", "yy", "xx") if regular else ())
    wrong = alternatives(verb, tense, person)
    assert verb.form(tense, person) not in wrong.values()
    assert len(set(wrong.values())) == len(wrong)
