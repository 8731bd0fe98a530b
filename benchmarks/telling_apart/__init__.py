"""How many items and seeds a comparison of two methods takes, from the variances measured here."""
