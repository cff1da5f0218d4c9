"""Reads tables of numbers as text: a row a sample, a column a channel, and what else programs write into them.

Neither `csv.Sniffer` (it takes `.` for a separator) nor pandas (its first row is a header whatever it holds) tells
what must not be guessed here: a name from a sample, an index or a time from a channel, a comma from a point.
"""

import logging
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from streamer.errors import FileError
from streamer.messages import FloatArray
from streamer.recordings.csv_layout import Layout, TableOptions, find_layout
from streamer.recordings.csv_numbers import number
from streamer.recordings.csv_text import SNIFFED_LINES, Row, Table, encoding_of, separator_of
from streamer.recordings.time_column import Timing, timing_of
from streamer.recordings.time_text import past_midnight, seconds_of_text
from streamer.waveforms import Float64Array

SNIFFED_ROWS = 1000  # of which the layout is told
SHOWN_GAPS = 10

_log = logging.getLogger("sincos")


@dataclass(frozen=True, slots=True, eq=False)
class TableContent:
    """What a table holds.

    Parameters
    ----------
    values : float32 array, shape (rows, channels)
    names : tuple of str
        Of the channels, where the table has them.
    timing : Timing or None
        What its times, or its index, amount to; its rate is 0 where it has none.
    """

    values: FloatArray
    names: tuple[str, ...]
    timing: Timing | None


def read_csv(path: Path, options: TableOptions | None = None) -> TableContent:
    """Return what a table holds; an empty cell is NaN. What was found out about it is logged.

    Raises
    ------
    FileError
        If a row has another number of cells than the others, a cell is not a number, or it cannot be told for sure
        what is what; with its line number, or the option that helps.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as raw:
        encoding = encoding_of(raw.read(4))
    with path.open(
        newline="", encoding=encoding, errors="surrogateescape" if encoding == "utf-8" else None
    ) as file:
        try:
            return _Reader(file, str(path), options or TableOptions()).read()
        except UnicodeError as error:
            raise FileError(f"{path}: must be text in UTF-8 or UTF-16: {error}") from None


def parse(row: Row, layout: Layout, name: str) -> list[float]:
    """Return the numbers of a row's channels.

    Raises
    ------
    FileError
        If it has too few or too many cells, or one is not a number.
    """
    cells = row.cells
    if len(cells) != layout.width and (len(cells) < layout.width or any(cells[layout.width :])):
        hint = "" if layout.decimal == "," else "; for numbers with a decimal comma give --decimal ,"
        raise FileError(
            f"{name}, line {row.line}: every row must have {layout.width} cell(s), got {len(cells)}{hint}"
        )
    wanted = [cells[column] for column in layout.channels]
    if layout.decimal == "." and not any("_" in cell for cell in wanted):
        try:
            return list(map(float, wanted))
        except ValueError:
            pass
    return [_number(cell, layout.decimal, f"{name}, line {row.line}") for cell in wanted]


def time_of(row: Row, layout: Layout) -> float:
    """Return the time of a row in seconds, NaN where it has none."""
    if layout.clock is None:
        return np.nan
    cell = row.cells[layout.clock.column]
    try:
        return seconds_of_text(cell) if layout.clock.is_text else number(cell, layout.decimal) * layout.clock.scale
    except ValueError:
        return np.nan


def say_layout(layout: Layout, name: str) -> None:
    """Log what was found out about a table."""
    for note in layout.notes:
        _log.info("%s: %s", name, note)
    for doubt in layout.doubts:
        _log.warning("%s: %s", name, doubt)


def plain_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names as labels may be: printable, and at most 64 letters. Bytes that are not UTF-8 are Latin-1."""

    def plain(name: str) -> str:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            name = name.encode("utf-8", "surrogateescape").decode("latin-1")
        return "".join(letter if letter.isprintable() else "?" for letter in name)[:64]

    return tuple(map(plain, names))


class _Reader:
    """Reads one file."""

    def __init__(self, file: TextIO, name: str, options: TableOptions) -> None:
        self._name = name
        first = list(islice(file, SNIFFED_LINES))
        table = Table(chain(first, file), separator_of(first), name)
        self._rows = iter(table)
        self._first = list(islice(self._rows, SNIFFED_ROWS))
        if options.decimal == "," and separator_of(first) == ",":  # the commas are not between cells
            table = Table(chain(first, file), None, name)
            lines = [
                Row(row.line, [",".join(row.cells)] if row.cells else [], row.is_whole) for row in self._first
            ]
            self._first = lines
            self._rows = (
                Row(row.line, [",".join(row.cells)] if row.cells else [], row.is_whole) for row in self._rows
            )
        self._layout = find_layout(name, table, [row for row in self._first if row.cells], options)
        self._is_spaced = _is_spaced(self._first, self._layout)
        self._skipped: list[int] = []

    def read(self) -> TableContent:
        layout = self._layout
        say_layout(layout, self._name)
        numbers, times, lines, indices = array("f"), array("d"), array("q"), array("d")
        for row in self._sample_rows():
            try:
                if row.cells:
                    numbers.extend(parse(row, layout, self._name))
                else:
                    numbers.extend([np.nan] * len(layout.channels))
            except FileError:
                if row.is_whole or not len(lines):
                    raise
                _log.warning("%s, line %d: the last line is cut short and left out", self._name, row.line)
                break
            lines.append(row.line)
            if layout.clock is not None:
                times.append(time_of(row, layout))
            if layout.index is not None:
                indices.append(_number(row.cells[layout.index], layout.decimal, f"{self._name}, line {row.line}"))
        if self._skipped:
            _log.warning(
                "%s: %d empty line(s) left out, line %d first", self._name, len(self._skipped), self._skipped[0]
            )
        values = np.asarray(numbers).reshape(-1, len(layout.channels))
        return TableContent(values, plain_names(layout.names), self._timing(times, np.asarray(lines), indices))

    def _sample_rows(self) -> Iterator[Row]:
        """Yield the rows that are samples; of a table of one column, an empty line between others is one."""
        blank: list[Row] = []
        for row in chain(self._first, self._rows):
            if row.line < self._layout.begins:
                continue
            if not row.cells:
                if self._layout.width == 1 and not self._is_spaced:
                    blank.append(row)
                else:
                    self._skipped.append(row.line)
                continue
            if blank:
                _log.warning(
                    "%s: %d empty line(s) before line %d are missing samples", self._name, len(blank), row.line
                )
                yield from blank
                blank = []
            yield row

    def _timing(
        self, times: Sequence[float], lines: "NDArray[np.int64]", indices: Sequence[float]
    ) -> Timing | None:
        clock = self._layout.clock
        if not len(lines):
            return None
        if clock is not None and len(lines) > 1:
            seconds = past_midnight(np.asarray(times)) if clock.is_text else np.asarray(times)
            timing = timing_of(self._name, seconds, lines, f"column {clock.column + 1}")
        elif self._layout.index is not None:
            timing = self._index_timing(np.asarray(indices), lines)
        else:
            return None
        for doubt in timing.doubts:
            _log.warning("%s: %s", self._name, doubt)
        for row, before, missing in islice(gaps_of(timing.starts), SHOWN_GAPS):
            _log.warning(
                "%s, line %d: %d samples are missing, from %d on", self._name, lines[row], missing, before
            )
        if len(timing.starts) > SHOWN_GAPS + 1:
            _log.warning("%s: and so at %d more lines", self._name, len(timing.starts) - 1 - SHOWN_GAPS)
        return timing

    def _index_timing(self, index: Float64Array, lines: "NDArray[np.int64]") -> Timing:
        """Return where an index leaps; one that begins anew after its last number says nothing of that."""
        steps = np.diff(index)
        if (steps < 0).any():
            around = index.max() - index.min() + 1  # from its last number it goes on at its first
            steps = np.where((steps < 0) & (steps % around < around / 4), steps % around, steps)
        odd = np.flatnonzero((steps < 1) | (steps != np.round(steps)))
        if len(odd):
            row = int(odd[0]) + 1
            raise FileError(
                f"{self._name}, line {int(lines[row])}: column {(self._layout.index or 0) + 1} is an index, but "
                f"goes from {index[row - 1]:g} to {index[row]:g}: name the channels with --columns"
            )
        seqs = np.concatenate([[0], np.cumsum(steps)])
        starts = [(0, 0), *((int(row) + 1, int(seqs[row + 1])) for row in np.flatnonzero(steps > 1))]
        return Timing(0.0, tuple(starts))


def gaps_of(starts: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield the row after each gap, the first sample that is missing, and how many are."""
    for (row, seq), (end, next_seq) in pairwise(starts):
        yield end, seq + end - row, next_seq - (seq + end - row)


def _is_spaced(rows: list[Row], layout: Layout) -> bool:
    """Whether an empty line follows each other line: line ends that were written twice."""
    kinds = [bool(row.cells) for row in rows if row.line >= layout.begins]
    return len(kinds) > 4 and all(kinds[0::2]) and not any(kinds[1::2])


def _number(cell: str, decimal: str, place: str) -> float:
    try:
        return number(cell, decimal)
    except ValueError:
        hint = "; is it text in UTF-8?" if not cell.isascii() else ""
        raise FileError(f"{place}: a cell must be a number, nan or empty, got {cell[:40]!r}{hint}") from None
