"""From scored sentences to tables, intervals and the verdict."""
