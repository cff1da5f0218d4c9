"""What a status body says, read as a claim: any key may be missing, of any type and of any size."""

import math
from collections.abc import Mapping
from typing import Any

MAX_TEXT, MAX_LINE = 32, 200
MAX_TEXTS, MAX_COUNTS = 2, 1_000


def number(body: Mapping[str, Any], key: str) -> float | None:
    """Return a finite number, or None."""
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def count(body: Mapping[str, Any], key: str) -> int | None:
    """Return a whole number from 0 on, or None."""
    value = number(body, key)
    return int(value) if value is not None and value >= 0 else None


def flag(body: Mapping[str, Any], key: str) -> bool | None:
    """Return true or false, or None."""
    value = body.get(key)
    return value if isinstance(value, bool) else None


def text(body: Mapping[str, Any], key: str) -> str | None:
    """Return a short text that can do no harm on a terminal, or None."""
    value = body.get(key)
    return printable(value) if isinstance(value, str) else None


def texts(body: Mapping[str, Any], key: str) -> list[str]:
    """Return the first few texts of a list, each a line at most; none where it is no list."""
    value = body.get(key)
    lines = [each for each in value[:MAX_TEXTS] if isinstance(each, str)] if isinstance(value, list) else []
    return [printable(line, MAX_LINE) for line in lines]


def counts(body: Mapping[str, Any], key: str) -> frozenset[int]:
    """Return the whole numbers from 0 on in a list; none where it is no list."""
    value = body.get(key)
    numbers = value[:MAX_COUNTS] if isinstance(value, list) else []
    return frozenset(each for each in numbers if type(each) is int and each >= 0)


def section(body: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    """Return an object within the body, or None."""
    value = body.get(key)
    return value if isinstance(value, Mapping) else None


def printable(value: str, most: int = MAX_TEXT) -> str:
    """Return `value` cut short, with a question mark for each letter that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in value[:most])
