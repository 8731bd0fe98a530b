"""From verbs.csv and templates.csv, or a user's own sentences, to the two subsets of the corpus."""
