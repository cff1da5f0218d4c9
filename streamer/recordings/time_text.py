"""Dates and times of day as other programs write them, in seconds."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np

from streamer.waveforms import Float64Array

DAY_S = 86_400.0

_TIME = r"(\d{1,2}):(\d\d):(\d\d)(?:[.,:](\d+))?\s*([ap]\.?m\.?)?"
_CLOCK = re.compile(rf"{_TIME}$", re.IGNORECASE)
_DATED = re.compile(rf"(\d{{1,4}})([./-])(\d{{1,2}})\2(\d{{1,4}})[ T,]\s*{_TIME}$", re.IGNORECASE)


def seconds_of_text(cell: str) -> float:
    """Return a date and time, in seconds since 1970, or a time of day; NaN where it is neither.

    Besides ISO 8601: day.month.year, month/day/year (day/month/year where the first is above 12), year/month/day.
    """
    found = _CLOCK.match(cell)
    if found:
        return _of_day(found.groups())
    try:
        moment = datetime.fromisoformat(cell)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        pass
    found = _DATED.match(cell)
    if not found:
        return float("nan")
    first, mark, second, third, *time = found.groups()
    year, month, day = _date(int(first), int(second), int(third), mark)
    try:
        return (datetime(year, month, day, tzinfo=UTC) + timedelta(seconds=_of_day(time))).timestamp()
    except (ValueError, OverflowError):
        return float("nan")


def is_date_alone(values: Float64Array) -> bool:
    """Whether times are whole days: dates whose time of day stands elsewhere."""
    return len(values) > 0 and not (values % DAY_S).any()


def past_midnight(times: Float64Array) -> Float64Array:
    """Return times of day as they go on after midnight; other times as they are."""
    known = times[np.isfinite(times)]
    if not len(known) or known.min() < 0 or known.max() >= DAY_S:
        return times
    held = known[np.maximum(np.cumsum(np.isfinite(times)) - 1, 0)]  # the last one that is known
    return times + DAY_S * np.cumsum(np.diff(held, prepend=held[0]) < -DAY_S / 2)


def after(last_s: float, time_s: float) -> float:
    """Return a time of day as it goes on after another one, which may be days later; other times as they are."""
    if not np.isfinite(last_s) or not 0 <= time_s < DAY_S:
        return time_s
    time_s += last_s // DAY_S * DAY_S
    return time_s + DAY_S if time_s < last_s - DAY_S / 2 else time_s


def _of_day(parts: "tuple[str | None, ...] | list[str | None]") -> float:
    """Return hours, minutes, seconds, their decimals and a half of the day in seconds."""
    hours, minutes, seconds, decimals, half = parts
    hour = int(hours or 0)
    if half:
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    return hour * 3600 + int(minutes or 0) * 60 + float(f"{seconds}.{decimals or 0}")


def _date(first: int, second: int, third: int, mark: str) -> tuple[int, int, int]:
    """Return year, month and day."""
    if first > 31:
        return first, second, third
    year = third if third > 99 else 2000 + third
    return (year, second, first) if mark != "/" or first > 12 else (year, first, second)
