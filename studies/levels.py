"""Where a curve first reaches a level."""


def crossing(values: list[float], level: float) -> tuple[int, float, bool]:
    """Where a curve first reaches a level.

    Returns:
        The point before, the weight of the one after it, and whether the level is reached; if not,
        the last point has all the weight.
    """
    for i in range(1, len(values)):
        if values[i] >= level:
            rise = values[i] - values[i - 1]
            return i - 1, (level - values[i - 1]) / rise if rise > 0 else 1.0, True
    return len(values) - 2, 1.0, False
