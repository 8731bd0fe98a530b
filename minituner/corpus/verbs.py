"""Verbs, their correct forms and their wrong ones: data of any language, no rule of one."""

from dataclasses import dataclass, field

TENSES = ("infinitive", "present_simple", "past_simple", "past_participle", "simple_future")
PERSONS = ("1sg", "2sg", "3sg")
PASTS = ("past_simple", "past_participle")

Forms = tuple[str, str, str]  # of the three `PERSONS`


@dataclass(frozen=True)
class Verb:
    """One row of verbs.csv.

    Attributes:
        lemma: the cue that sentences begin with.
        regular: whether its pasts are made by the language's rule.
        forms: tense → the correct forms.
        wrong: mistake → tense → the forms it makes, "" where it cannot be made.
    """

    lemma: str
    regular: bool
    forms: dict[str, Forms]
    wrong: dict[str, dict[str, Forms]] = field(default_factory=dict)

    def form(self, tense: str, person: str) -> str:
        """The correct form, without the auxiliary that templates.csv gives."""
        return self.forms[tense][PERSONS.index(person)]


def alternatives(verb: Verb, tense: str, person: str) -> dict[str, str]:
    """Every mis-conjugated form of a cell: mistake → form.

    No form equals the correct one and none comes twice: of two mistakes that make the same form the
    one that `verb.wrong` names first has it.
    """
    correct = verb.form(tense, person)
    forms: dict[str, str] = {}
    for mistake, by_tense in verb.wrong.items():
        form = by_tense[tense][PERSONS.index(person)] if tense in by_tense else ""
        if form and form != correct and form not in forms.values():
            forms[mistake] = form
    return forms
