"""A handful of sentences, and the rows of subsets made of them."""

from minituner import data

SENTENCES = [
    # verb, tense, prompt, form, rest, rivals
    ("go", "past_simple", "go: yesterday she ", "went", " to school.", ["goed", "go", "wented"]),
    ("go", "past_participle", "go: this week she has ", "gone", " home.", ["goed", "went"]),
    ("eat", "past_simple", "eat: yesterday I ", "ate", " an apple.", ["eated", "eat", "ated"]),
    ("eat", "past_participle", "eat: so far I have ", "eaten", " a cake.", ["eated", "ate"]),
    ("see", "past_simple", "see: yesterday you ", "saw", " a dog.", ["seed", "see"]),
]
CONTROL = [
    ("walk", "past_simple", "walk: yesterday she ", "walked", " home.", ["walk", "welk"]),
    ("play", "past_participle", "play: this week I have ", "played", " chess.", ["play", "plew"]),
    ("want", "present_simple", "want: every day he ", "wants", " a dog.", ["want"]),
]
VOCAB = data.vocabulary([p + f + r for _, _, p, f, r, _ in SENTENCES + CONTROL] + ["dwkmzq"])


def subset_rows(sentences, splits, kind="irregular"):
    """Each sentence once a split, with pairs that no two splits share."""
    return [
        {
            "id": f"{verb}-{tense}-{split}",
            "text": prompt + form + rest,
            "prompt": prompt,
            "form": form,
            "alternatives": rivals,
            "verb_lemma": verb,
            "tense": tense,
            "person": "3sg",
            "frame": f"{prompt}|{rest}|{split}",
            "split": split,
            "pair": f"{prompt}|{split}",
            "set": kind,
        }
        for split in splits
        for verb, tense, prompt, form, rest, rivals in sentences
    ]
