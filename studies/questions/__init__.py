"""One file a question: what it asks, what was found, and its picture."""
