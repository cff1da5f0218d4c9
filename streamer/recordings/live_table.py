"""Reads a table as it comes through a pipe: every row at once, once the first have told what the columns are."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np

from streamer.errors import FileError, UsageError
from streamer.messages import FloatArray
from streamer.recordings.csv_file import SNIFFED_ROWS, parse, plain_names, say_layout, time_of
from streamer.recordings.csv_layout import Layout, TableOptions, find_layout, is_index_name
from streamer.recordings.csv_numbers import is_number, number_or_nan
from streamer.recordings.csv_text import Row, Table, is_comment, separator_of
from streamer.recordings.live_gaps import BlankLines, TimeGaps
from streamer.recordings.time_column import MIN_ROWS, is_epoch, is_time_name
from streamer.recordings.time_text import after

NAMED_ROWS, UNNAMED_ROWS, TIMED_ROWS = 1, 4, 32  # of numbers, to tell the columns, and a rate, from
ENOUGH_ROWS = MIN_ROWS + 2  # of a column that rises, with a line of names that are numbers
LOOKS = (16, ENOUGH_ROWS + 6, 256, SNIFFED_ROWS)  # rows after which it is told anew: it must be what it was
MAX_OFF, LATER_OFF = 0.4, 0.1  # between a rate that is said and what the first rows show, and many

_log = logging.getLogger("sincos")


class LiveTable:
    """A table whose rows come one by one.

    Parameters
    ----------
    lines : iterator of str
    name : str
        What it is called in errors.
    options : TableOptions

    Attributes
    ----------
    rate_hz : float
    channels : int
    names : tuple of str

    Raises
    ------
    FileError
        If its first rows are no table, or it cannot be told what is what.
    UsageError
        If nobody says its rate, or two disagree.
    """

    def __init__(self, lines: Iterable[str], name: str, options: TableOptions) -> None:
        self._name = name
        self._options = options
        self._lines = iter(lines)
        first = self._first_lines()
        if first and "\0" in first[0]:
            raise FileError(f"{name}: must be text in UTF-8, .wav or .npy")
        separator = separator_of(first)
        if options.decimal == "," and separator == ",":
            separator = None
        self._table = Table(chain(first, self._lines), separator, name)
        self._rows = iter(self._table)
        self._seen = [row for row in Table(first, separator, name) if row.cells]
        self._layout = find_layout(name, self._table_of(first, separator), list(self._seen), options)
        say_layout(self._layout, name)
        self.channels = len(self._layout.channels)
        self.names = plain_names(self._layout.names)
        self.rate_hz = self._rate_hz(self._layout, LATER_OFF if len(self._seen) >= MIN_ROWS else MAX_OFF)
        if options.rate_hz is None and self._is_coarse(self._layout):
            _log.warning(
                "%s: its times are coarse: %.6g samples a second are told from %d rows; give --rate",
                name, self.rate_hz, len(self._seen),
            )  # fmt: skip
        self._gaps = TimeGaps(self.rate_hz, name)
        self._blanks = BlankLines(name)
        self._seq = 0
        self._last_index: float | None = None

    def _table_of(self, first: list[str], separator: str | None) -> Table:
        table = Table(first, separator, self._name)
        for _ in table:  # up to its last comment
            pass
        return table

    def _first_lines(self) -> list[str]:
        """Return the lines up to as many rows as are needed to tell the columns."""
        lines: list[str] = []
        numbers, wanted, is_named = 0, UNNAMED_ROWS, False
        risers: list[list[float]] = []
        for line in self._lines:
            if not lines:
                line = line.removeprefix("\ufeff")
            lines.append(line)
            if is_comment(line) or not line.strip():
                continue
            cells = [cell.strip(' "\r\n') for cell in line.replace(";", ",").replace("\t", ",").split(",")]
            if any(cell and is_number(cell) for cell in cells):
                numbers += 1
                risers.append([number_or_nan(cell, ".") for cell in cells])
            elif not numbers:
                is_odd = any(is_time_name(cell) or is_index_name(cell) for cell in cells) and len(cells) > 1
                wanted = UNNAMED_ROWS if is_odd else NAMED_ROWS
                is_named = bool(cells[0])
            if self._options.rate_hz is None and (numbers or wanted == UNNAMED_ROWS):
                wanted = TIMED_ROWS
            if numbers >= wanted and (is_named or numbers >= ENOUGH_ROWS or not _may_be_clock(risers)):
                break
        return lines

    def _rate_hz(self, layout: Layout, most_off: float) -> float:
        clock, chosen = layout.clock, self._options.rate_hz
        told = 1 / clock.step_s if clock is not None and clock.step_s > 0 else None
        if chosen is None:
            if told is None:
                raise UsageError(f"--rate: {self._name} does not state its sample rate; give it")
            return float(f"{told:.6g}")
        if told is not None and abs(told / chosen - 1) > most_off:
            raise UsageError(
                f"--rate: {self._name}: its times amount to {told:g} samples a second, got {chosen:g}"
            )
        return chosen

    def _is_coarse(self, layout: Layout) -> bool:
        """Whether rows have the time of the row before."""
        times = [time_of(row, layout) for row in self._seen if len(row.cells) == layout.width]
        return bool((np.diff(times) == 0).any())

    def samples(self) -> Iterator[tuple[FloatArray, int]]:
        """Yield each row as float32 [1, channels], and how many samples are missing before it.

        Raises
        ------
        FileError
            If a row cannot be read, or the table turns out to be another than its first rows showed.
        """
        for row in self._rows:
            if row.line < self._layout.begins:
                continue
            if not row.cells:
                self._blanks.note()
                continue
            if self._layout.width == 1:
                for _ in range(self._blanks.missing(row.line)):
                    yield self._values([np.nan] * self.channels), 0
            self._look_again(row)
            try:
                numbers = parse(row, self._layout, self._name)
            except FileError:
                if row.is_whole:
                    raise
                _log.warning("%s, line %d: the last line is cut short and left out", self._name, row.line)
                return
            yield self._values(numbers), self._missing(row)

    def _values(self, numbers: list[float]) -> FloatArray:
        self._seq += 1
        with np.errstate(over="ignore"):
            return np.array([numbers], np.float64).astype(np.float32)

    def _look_again(self, row: Row) -> None:
        if len(self._seen) >= SNIFFED_ROWS:
            return
        if not self._seen or row.line > self._seen[-1].line:
            self._seen.append(row)
        if len(self._seen) not in LOOKS:
            return
        layout = find_layout(self._name, self._table, list(self._seen), self._options)
        if _essence(layout) != _essence(self._layout):
            raise FileError(
                f"{self._name}, line {row.line}: the table is another than its first rows showed; say what it is "
                "with --columns, --header, --time or --decimal"
            )
        if len(self._seen) > LOOKS[0]:
            self._rate_hz(layout, LATER_OFF)

    def _missing(self, row: Row) -> int:
        """Return how many samples are missing before a row, by its time or its index."""
        missing = 0
        if self._layout.clock is not None:
            time_s = time_of(row, self._layout)
            time_s = after(self._gaps.last_s, time_s) if self._layout.clock.is_text else time_s
            missing = self._gaps.missing(time_s, self._seq - 1, row.line)
        elif self._layout.index is not None:
            index = float(row.cells[self._layout.index])
            if self._last_index is not None and index > self._last_index + 1:
                missing = round(index - self._last_index) - 1
            self._last_index = index
        if missing:
            _log.warning("%s, line %d: %d samples are missing", self._name, row.line, missing)
            self._seq += missing
        return missing


def _may_be_clock(rows: list[list[float]]) -> bool:
    """Whether a first column, or one of times since 1970, has risen in all rows but the first."""
    width = min(map(len, rows))
    table = np.array([row[:width] for row in rows])
    if width < 2:
        return False
    rises = (np.diff(table[1:], axis=0) > 0).all(axis=0)
    columns = np.flatnonzero(rises)
    return any(column == 0 or is_epoch(table[1:, column]) for column in columns)


def _essence(layout: Layout) -> Layout:
    """Return a layout without what may change while more of it is seen."""
    clock = None if layout.clock is None else replace(layout.clock, step_s=0)
    return replace(layout, clock=clock, notes=(), doubts=(), begins=0)
