"""Faults put into the sources one by one, to see whether the unit tests notice."""
