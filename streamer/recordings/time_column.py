"""The times of a table's rows: their unit, the rate they amount to, and where samples are missing."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.errors import FileError
from streamer.recordings.time_text import is_date_alone, past_midnight
from streamer.waveforms import Float64Array

SCALES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "days": 86_400.0}
DAYS = ((20_000, 80_000), (700_000, 800_000))  # of today, as spreadsheets and MATLAB count them
MAX_DAY_STEP = 1e-4
MIN_ROWS = 64  # that must rise evenly before a column is taken for a time without being called one
CERTAIN_STEP_S = 0.1  # a step between rows below this, in a column without a unit, is in seconds
UNEVEN = 0.5  # of a step: how much most steps of such a column may differ
WINDOW_ROWS, NOISY_WINDOW_ROWS = 4, 32  # before and after a late row, to tell a gap from one that was late alone
MAX_TWICE = 0.05  # of the rows; where there are more, times are written coarsely or in blocks
NOISY = 0.1  # of a period
REFINEMENTS = 5  # of the period, each with the gaps that the last one showed
MAX_MISSING = 100  # times as many samples as there are, and at least a million

_WORDS = re.compile(
    r"(^|[^a-z])(time|times|timestamp|timestamps|datetime|date|seconds|secs?|millis|milliseconds|micros|microseconds|"
    r"nanos|nanoseconds|ts|zeit|zeitstempel|uhrzeit|temps|tiempo|tempo|hora|t)($|[^a-z])"
)
_UNITS = {
    "s": r"s|secs?|seconds?|sekunden", "ms": r"ms|msecs?|millis|milliseconds?",
    "us": r"us|µs|μs|usecs?|micros|microseconds?", "ns": r"ns|nsecs?|nanos|nanoseconds?",
}  # fmt: skip
_UNIT = {unit: re.compile(rf"(^|[^a-zµμ])({words})[)\]]?$") for unit, words in _UNITS.items()}
_UNIT_ALONE = re.compile(rf"({'|'.join(_UNITS.values())}|\(.*\)|\[.*\])$")
_EPOCHS = {"s": 1e9, "ms": 1e12, "us": 1e15, "ns": 1e18}  # of today's times since 1970, to a factor of 4


@dataclass(frozen=True, slots=True)
class Clock:
    """A column that is a time.

    Parameters
    ----------
    column : int
    unit : str
    is_text : bool
        Written as date and time.
    step_s : float
        Between its first rows.
    """

    column: int
    unit: str
    is_text: bool
    step_s: float

    @property
    def scale(self) -> float:
        """Seconds a unit."""
        return SCALES[self.unit]


@dataclass(frozen=True, slots=True)
class Timing:
    """What times amount to.

    Parameters
    ----------
    rate_hz : float
    starts : tuple of (row, seq)
        Where rows go on after missing samples, the first row included.
    doubts : tuple of str
    """

    rate_hz: float
    starts: tuple[tuple[int, int], ...]
    doubts: tuple[str, ...] = ()


def is_time_name(name: str) -> bool:
    """Whether a column's name says that it is a time."""
    return bool(_WORDS.search(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())) or _unit_of(name) not in (
        None,
        "s",
    )


def is_unit(cell: str) -> bool:
    """Whether a cell is a unit: of time, or anything in brackets."""
    return bool(_UNIT_ALONE.match(cell.strip().lower()))


def clock_of(
    file: str, column: int, name: str, unit_cell: str, values: Float64Array, *, is_sure: bool, is_text: bool,
    rate_hz: float | None,
) -> Clock | None:  # fmt: skip
    """Return a column as a clock, if it is one.

    Parameters
    ----------
    is_sure : bool
        It is called one. Otherwise it must rise evenly.

    Raises
    ------
    FileError
        If it is called one and stands still, or its unit cannot be told.
    """
    known = values[np.isfinite(values)]
    known = past_midnight(known) if is_text else known
    steps = np.diff(known)
    rises = bool((steps > 0).any())
    if is_text and (
        is_date_alone(known) or 2 * len(known) < len(values) or (steps > 0).mean() < 0.5 if len(steps) else True
    ):
        return None
    if not is_sure and not is_text and not _is_even(steps):
        return None
    if not rises:
        if len(values) < 2:
            return Clock(column, _unit_of(unit_cell) or _unit_of(name) or "s", is_text, 0.0)
        raise FileError(
            f"{file}: {_shown(column, name)} is a time by its name, but stands still: --time none leaves it"
        )
    step = estimated_period(known) if (steps >= 0).all() else float(np.median(np.abs(steps)))
    unit = "s" if is_text else _unit_of(unit_cell) or _unit_of(name) or _guessed_unit(known[0], step, rate_hz)
    if unit is None:
        wanted = (
            f"--rate {rate_hz:g} fits it in none: leave it out with --time none"
            if rate_hz
            else "give --rate, or in --columns the columns that are channels"
        )
        raise FileError(
            f"{file}: {_shown(column, name)} {'is' if is_sure else 'rises evenly, as'} a time in no unit that it "
            f"names, {step:.6g} a row: {wanted}"
        )
    return Clock(column, unit, is_text, step * SCALES[unit])


def estimated_period(times: Float64Array) -> float:
    """Return the time from row to row, though some are missing, late, or written coarsely."""
    rows, times = _risen(times)
    if len(times) < 2:
        return 0.0
    single = np.diff(times) / np.diff(rows)
    middle = float(np.median(single))
    if np.median(np.abs(single - middle)) < 0.3 * middle:
        steps = np.diff(times)
        is_usual = (single < 1.5 * middle) | (steps < 1.5 * np.median(steps))  # the latter of coarse times
        return float(steps[is_usual].sum() / np.diff(rows)[is_usual].sum())
    lag = max(1, min(NOISY_WINDOW_ROWS, len(rows) // 2))
    return float(np.median((times[lag:] - times[:-lag]) / (rows[lag:] - rows[:-lag])))


def timing_of(file: str, times: Float64Array, lines: NDArray[np.int64], called: str) -> Timing:
    """Return what the times of all rows, in seconds, amount to.

    Raises
    ------
    FileError
        If they go back, stand still, or leave out far more than is there.
    """
    doubts = []
    unknown = ~np.isfinite(times)
    if unknown.any():
        if unknown.all():
            raise FileError(f"{file}: {called} is a time, but holds none: --time none leaves it out")
        doubts.append(f"{called} lacks {int(unknown.sum())} time(s); those rows are taken to be in step")
        places = np.arange(len(times))
        times = np.interp(places, places[~unknown], times[~unknown])
    steps = np.diff(times)
    twice = np.flatnonzero(steps == 0)
    if 0 < len(twice) < MAX_TWICE * len(times):
        line = int(lines[twice[0] + 1])
        doubts.append(
            f"{len(twice)} row(s), line {line} first, have the time of the row before: are they doubled?"
        )
    back = np.flatnonzero(steps < 0)
    if len(back):
        row = int(back[0]) + 1
        raise FileError(
            f"{file}, line {int(lines[row])}: {called} is a time and goes back, from {times[row - 1]:.9g} s to "
            f"{times[row]:.9g} s: put the rows in order, or leave it out with --time none and give --rate"
        )
    rows, risen = _risen(times)
    period_s = estimated_period(times)
    if not period_s > 0:
        raise FileError(
            f"{file}: {called} is a time and stands still: leave it out with --time none and give --rate"
        )
    for _ in range(REFINEMENTS):
        gaps = _missing((risen - risen[0]) / period_s - rows)
        seqs = rows.astype(np.float64)
        for place, size in gaps:
            seqs[place:] += round(size)
        before_s, period_s = period_s, _slope(seqs, risen)
        if abs(period_s / before_s - 1) * len(times) < 0.1:
            break
    starts, missing = [(0, 0)], 0
    for place, size in gaps:
        count = round(size)
        missing += count
        starts.append((int(rows[place]), int(rows[place]) + missing))
        if abs(size - count) > 0.3:
            line = int(lines[rows[place]])
            doubts.append(f"line {line} is {size:.1f} samples late: {count} are taken to be missing")
    if missing > max(10**6, MAX_MISSING * len(times)):
        raise FileError(
            f"{file}: {called} leaps over {missing} samples, at line {int(lines[starts[1][0]])} first; it has "
            f"{len(times)}: cut it into several files, or leave the times out with --time none and give --rate"
        )
    return Timing(float(f"{1 / period_s:.6g}"), tuple(starts), tuple(doubts))


def _slope(seqs: Float64Array, times: Float64Array) -> float:
    """Return the period by least squares."""
    x = seqs - seqs.mean()
    return float(x @ (times - times.mean()) / (x @ x))


def _missing(late: Float64Array) -> list[tuple[int, float]]:
    """Return where samples are missing and how many, of rows that are late by so many periods.

    A gap is what stays late; a row that was late alone is not followed by others that are.
    """
    jumps = np.diff(late)
    window = WINDOW_ROWS if np.median(np.abs(jumps)) < NOISY else NOISY_WINDOW_ROWS
    places = np.flatnonzero(jumps >= 0.5)
    found: list[tuple[int, float]] = []
    begin = 0
    for number, place in enumerate(places.tolist()):
        end = place + 1 + window
        if window == WINDOW_ROWS and number + 1 < len(places):
            end = min(end, int(places[number + 1]) + 1)
        before = late[max(begin, place + 1 - window) : place + 1]
        size = float(np.median(late[place + 1 : end]) - np.median(before))
        if round(size) >= 1:
            found.append((place + 1, size))
            begin = place + 1
    return found


def _risen(times: Float64Array) -> tuple[NDArray[np.int64], Float64Array]:
    """Return the rows at which the time is another than before, and it."""
    rows = np.flatnonzero(np.diff(times, prepend=-np.inf) != 0)
    return rows, times[rows]


def _is_even(steps: Float64Array) -> bool:
    if len(steps) < MIN_ROWS - 1 or not (steps > 0).all():
        return False
    middle = np.median(steps)
    return bool((np.abs(steps - middle) <= UNEVEN * middle).mean() >= 0.9)


def is_epoch(values: Float64Array) -> bool:
    """Whether numbers may be times since 1970."""
    return len(values) > 0 and _epoch_unit(float(values[0])) is not None


def _epoch_unit(first: float) -> str | None:
    return next((unit for unit, size in _EPOCHS.items() if size / 4 < first < size * 4), None)


def _unit_of(name: str) -> str | None:
    plain = name.strip().lower()
    return next((unit for unit, pattern in _UNIT.items() if pattern.search(plain)), None)


def _guessed_unit(first: float, step: float, rate_hz: float | None) -> str | None:
    epoch = _epoch_unit(first)
    if epoch is not None:
        return epoch
    if step < MAX_DAY_STEP and any(low < first < high for low, high in DAYS):
        return "days"
    if rate_hz:
        near = (unit for unit, scale in SCALES.items() if abs(step * scale * rate_hz - 1) < 0.1)
        return next(near, "s" if step < CERTAIN_STEP_S else None)
    return "s" if step < CERTAIN_STEP_S else None


def _shown(column: int, name: str) -> str:
    return f"column {column + 1}" + (f" ({name})" if name else "")
