"""Bytes for people."""


def human(n: float) -> str:
    """Bytes for people: 1,234 B, 56.7 KB, 8.90 MB, powers of 1,000."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:,} B"
