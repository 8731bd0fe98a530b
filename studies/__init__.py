"""Questions beyond the experiment: variants of the tuning run, and what came of them."""
