"""Fuzzing of the parsers."""

import minituner  # noqa: F401  before numpy and torch are loaded: it pins the kernels
