"""Verbs, their correct forms, and the forms that learners make of them."""

import re
from dataclasses import dataclass

TENSES = ("infinitive", "present_simple", "past_simple", "past_participle", "simple_future")
PERSONS = ("1sg", "2sg", "3sg")
PASTS = ("past_simple", "past_participle")
# What the corpus may be spoilt with, in the order in which they claim a form that two of them make.
MISTAKES = (
    "over_regularized",
    "missing_third_person_s",
    "bare_stem",
    "past_for_participle",
    "double_marked",
    "inflected_after_modal",
)


@dataclass(frozen=True)
class Verb:
    """One row of verbs.csv.

    Attributes:
        lemma: the cue that sentences begin with.
        regular: whether its pasts are made with -ed.
        forms: for each tense the forms of the three `PERSONS`.
        irregularized: wrong pasts of a regular verb that look like those of irregular ones.
    """

    lemma: str
    regular: bool
    forms: dict[str, tuple[str, str, str]]
    irregularized: tuple[str, ...] = ()

    def form(self, tense: str, person: str) -> str:
        """The correct form, without the auxiliary that `auxiliary` gives."""
        return self.forms[tense][PERSONS.index(person)]


def auxiliary(tense: str, person: str) -> str:
    """The word that stands before the form, with its space; simple_future holds its own "will"."""
    if tense == "infinitive":
        return "may "
    if tense == "past_participle":
        return "has " if person == "3sg" else "have "
    return ""


def add_ed(stem: str) -> str:
    """`stem` with -ed, by the spelling rules: goed, liked, studied, played, beed, didded."""
    if re.search(r"[^aeiou]y$", stem):
        return stem[:-1] + "ied"
    if stem.endswith("e") and re.search(r"[aeiou]", stem[:-1]):
        return stem + "d"
    # A single vowel letter in the whole word, between consonants, doubles the last one.
    if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouswxy]", stem):
        return stem + stem[-1] + "ed"
    return stem + "ed"


def alternatives(verb: Verb, tense: str, person: str) -> dict[str, str]:
    """Every mis-conjugated form of a cell: type of mistake → form.

    No form equals the correct one and none comes twice: of two types that make the same form the
    one named first in `MISTAKES` has it. A regular verb's wrong pasts are its bare stem and its
    irregularized forms, the latter as `irregularized_1`, …, which the corpus is never spoilt with.
    """
    correct = verb.form(tense, person)
    stem = verb.form("infinitive", person)
    made: dict[str, str] = {}
    if tense in PASTS:
        made["bare_stem"] = stem
        if verb.regular:
            made |= {f"irregularized_{i}": f for i, f in enumerate(verb.irregularized, 1)}
        else:
            made["over_regularized"] = add_ed(stem)
            made["double_marked"] = add_ed(correct)
    if tense == "past_participle" and not verb.regular:
        made["past_for_participle"] = verb.form("past_simple", person)
    if tense == "present_simple" and person == "3sg":
        made["missing_third_person_s"] = stem
    if tense in ("infinitive", "simple_future"):
        # "may goes", "will goes": the last word is replaced, "will" stays
        made["inflected_after_modal"] = correct[: -len(stem)] + verb.form("present_simple", "3sg")

    kept: dict[str, str] = {}
    # the irregularized forms, unknown to MISTAKES, keep their order behind the others
    for mistake in [m for m in MISTAKES if m in made] + [m for m in made if m not in MISTAKES]:
        if made[mistake] != correct and made[mistake] not in kept.values():
            kept[mistake] = made[mistake]
    return kept
