"""The textbook's numbers, fast, and the same bytes on every machine."""
