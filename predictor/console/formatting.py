"""Numbers as short words: never wider than a cell, a dash for what is not known."""

DASH = "-"


def plain(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits."""
    if value is None:
        return DASH
    return f"{value:.{digits}g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.{digits - 1}e}"


def error(value: float | None) -> str:
    """Return an error with as many decimals as stay readable while they change."""
    return f"{value:.4f}" if value is not None and abs(value) < 100 else plain(value)


def whole(value: int | None) -> str:
    """Return a count with thousands set apart."""
    if value is None:
        return DASH
    return f"{value:,}" if value < 10**9 else f"{value:.2e}"


def degrees(value: float | None) -> str:
    """Return an angle."""
    return DASH if value is None else f"{value:.1f}\N{DEGREE SIGN}"


def hertz(value: float | None) -> str:
    """Return a rate."""
    if value is None:
        return DASH
    return f"{value:.1f} Hz" if 1 <= abs(value) < 1e5 else f"{plain(value)} Hz"


def seconds(value: float | None) -> str:
    """Return a duration in the unit that suits it."""
    if value is None:
        return DASH
    if abs(value) < 1e-3:
        return f"{value * 1e6:.0f} us"
    if abs(value) < 1:
        return f"{value * 1e3:.1f} ms"
    if abs(value) < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if abs(value) < 7200 else f"{plain(value / 3600)} h"


def age(value: float) -> str:
    """Return a duration in at most four letters."""
    for unit, seconds_each, most in (("s", 1, 100), ("m", 60, 100), ("h", 3600, 72), ("d", 86400, 1000)):
        if value < seconds_each * most:
            return f"{max(0, value / seconds_each):.0f}{unit}"
    return "long"
