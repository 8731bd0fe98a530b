"""Comparisons with other packages: equal results, speed, memory. The product imports none."""
