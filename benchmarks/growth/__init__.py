"""How wall time and memory grow: with runs, with the corpus, with the model's width."""
