"""Figures, words and pages made of those tables."""
