"""English: the mistakes that fill verbs.csv when it has no columns for them, and its own checks."""

import re

from minituner.corpus.verbs import PASTS, Forms, Verb

# In the order in which they claim a form that two of them make.
MISTAKES = (
    "over_regularized",
    "missing_third_person_s",
    "bare_stem",
    "past_for_participle",
    "double_marked",
    "inflected_after_modal",
)


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


def conjugated(
    lemma: str, regular: bool, forms: dict[str, Forms], irregularized: tuple[str, ...] = ()
) -> Verb:
    """A verb with the mistakes that learners of English make with it.

    A regular verb's wrong pasts are its bare stem and its irregularized forms, the latter as
    `irregularized_1`, …, which the corpus is never spoilt with.
    """
    stems, third = forms["infinitive"], forms["present_simple"][2]
    made: dict[str, dict[str, Forms]] = {mistake: {} for mistake in MISTAKES}
    made["missing_third_person_s"]["present_simple"] = ("", "", stems[2])
    for tense in PASTS:
        made["bare_stem"][tense] = stems
        if not regular:
            made["over_regularized"][tense] = _each(add_ed, stems)
            made["double_marked"][tense] = _each(add_ed, forms[tense])
    if not regular:
        made["past_for_participle"]["past_participle"] = forms["past_simple"]
    for tense in ("infinitive", "simple_future"):
        # "may goes", "will goes": the last word is replaced, "will" stays
        auxiliaries = [form.removesuffix(s) for form, s in zip(forms[tense], stems, strict=True)]
        made["inflected_after_modal"][tense] = _each(lambda word: word + third, auxiliaries)
    for i, form in enumerate(irregularized, 1):
        made[f"irregularized_{i}"] = dict.fromkeys(PASTS, (form,) * 3)
    return Verb(lemma, regular, forms, made)


def fault(verb: Verb, irregularized: tuple[str, ...]) -> tuple[str, str, str] | None:
    """What the columns of one verb say against each other: column, problem, remedy."""
    stems, futures = verb.forms["infinitive"], verb.forms["simple_future"]
    for tense, forms in verb.forms.items():
        words = 2 if tense == "simple_future" else 1
        for form in forms:
            if not re.fullmatch(" ".join(["[a-z]+"] * words), form):
                problem = f"{form!r} is not {words} word{'s' * (words > 1)} in the letters a to z"
                return tense, problem, f"write it like {'will go' if words == 2 else 'go'!r}"
    for stem, future in zip(stems, futures, strict=True):
        if future.split(" ")[1] != stem:
            problem = f"{future!r} does not end in the infinitive {stem!r}"
            return "simple_future", problem, f"write 'will {stem}'"
    for tense in PASTS:
        for form in verb.forms[tense]:
            if verb.regular and not form.endswith("ed"):
                return tense, f"{form!r} of a regular verb lacks -ed", "call it irregular"
            if form in irregularized:
                return "irregularized", f"{form!r} is the correct {tense}", "misspell it"
    if not verb.regular and verb.forms["past_simple"] == verb.forms["past_participle"]:
        if verb.forms["past_simple"] == _each(add_ed, stems):
            return "regularity", f"{verb.lemma} only adds -ed", "call it regular"
    if verb.regular and not irregularized:
        problem = "no wrong past of a regular verb"
        return "irregularized", problem, "write e.g. welk|waught for walk"
    if irregularized and not verb.regular:
        return "irregularized", "given for an irregular verb", "leave it empty"
    return None


def _each(function, words) -> Forms:
    return tuple(map(function, words))
