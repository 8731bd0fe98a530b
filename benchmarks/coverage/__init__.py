"""How often an interval holds the truth."""
