"""Numbers in words, for what an operator reads."""

UNITS_S = (("years", 365.25 * 86_400), ("days", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3))


def amount(number: float) -> str:
    """Return a number with four digits that count: `10,000`, `0.2`."""
    return f"{float(f'{number:.4g}'):,.12g}"


def duration(seconds: float) -> str:
    """Return a length of time in the largest unit of which it has at least one and a half: `52 ms`, `2 s`."""
    for name, unit_s in UNITS_S:
        if seconds >= 1.5 * unit_s:
            return f"{amount(float(f'{seconds / unit_s:.3g}'))} {name}"
    return f"{amount(float(f'{seconds * 1e6:.3g}'))} us"
