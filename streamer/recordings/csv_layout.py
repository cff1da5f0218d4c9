"""Which columns of a table are channels, which is its time or its index, and where its rows begin."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streamer.errors import FileError
from streamer.recordings.csv_numbers import LIKE_A_NUMBER, decimal_of, is_grouped, is_number, number_or_nan
from streamer.recordings.csv_text import Row, Table
from streamer.recordings.time_column import Clock, clock_of, is_epoch, is_time_name, is_unit
from streamer.recordings.time_text import seconds_of_text
from streamer.waveforms import Float64Array

INDEX_NAMES = {
    "index",
    "idx",
    "sample index",
    "sample number",
    "sample no",
    "row",
    "seq",
    "counter",
    "frame",
    "nr",
}
WEAK_INDEX_NAMES = {"", "sample", "samples", "n", "no", "i", "id", "unnamed: 0", "number"}
MIN_RAMP = 8  # rows that must rise evenly before a column without a name is taken for a time or an index
FEW_ROWS = 8
MAX_HEAD = 100  # lines before the first number

_WHOLE = re.compile(r"\d+(\.0)?$")
_POINTED_WHOLE = re.compile(r"[-+]?\d+\.0$")  # who writes whole numbers so writes none without a point
_DECIMALS = re.compile(r"[-+]?\d*\.(\d+)$")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What is said about a table; what is not is found out.

    Parameters
    ----------
    columns : tuple of str
        Names or numbers, from 1 on, of the columns that are channels.
    time : str or None
        Name or number of the column that is a time; `none` where none is to be used.
    header : bool or None
        Whether the first line holds names.
    decimal : str or None
        `,` or `.`.
    rate_hz : float or None
        Samples a second; tells the unit of a time that does not say it.
    """

    columns: tuple[str, ...] = ()
    time: str | None = None
    header: bool | None = None
    decimal: str | None = None
    rate_hz: float | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a table are read.

    Parameters
    ----------
    width : int
        Cells a row; it may have `spare` empty ones more.
    channels : tuple of int
        Their columns.
    names : tuple of str
        Theirs; empty where the table has none.
    clock : Clock or None
        The column that is a time.
    index : int or None
        The column that is an index.
    decimal : str
    begins : int
        The line of the first row.
    notes, doubts : tuple of str
        What was found out: to be said, and to be warned of.
    """

    width: int
    channels: tuple[int, ...]
    names: tuple[str, ...]
    clock: Clock | None
    index: int | None
    decimal: str
    begins: int
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Finder:
    """Finds the layout from the first rows, step by step."""

    name: str
    table: Table
    rows: list[Row]
    options: TableOptions
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    decimal: str = "."

    def find(self) -> Layout:
        rows = self.rows
        self.decimal = self.options.decimal or decimal_of(self.name, rows)
        if self.decimal == ",":
            self.notes.append("its numbers have a decimal comma")
        begin = next((place for place, row in enumerate(rows) if _has_number(row, self.decimal)), 0)
        body = rows[begin:]
        later = body[len(body) // 2 :] if len(body) > FEW_ROWS else body  # what comes first may be anything
        widths = [len(row.cells) for row in later]
        width = max(dict.fromkeys(widths), key=widths.count)
        later = [row for row in later if len(row.cells) == width]
        kinds = [self._kind([row.cells[column] for row in later]) for column in range(width)]
        head = self._head(width, kinds)
        data = [row for row in rows[len(head) :] if len(row.cells) == width]
        if not head and data and self._begins_with_names(data, kinds):
            head, data = [data[0]], data[1:]
        if not data:
            raise FileError(f"{self.name}: holds no samples: no line of numbers is in it")
        counts = _counts([number_or_nan(row.cells[0], self.decimal) for row in data])
        names, units = self._names(head, width, kinds, may_lack_one=kinds[-1] == "empty" or counts)
        kept = [column for column in range(width) if not self._is_left_out(column, kinds, names, width)]
        clock, index = self._time_and_index(data, kinds, names, units, kept)
        numeric = [c for c in kept if kinds[c] != "text" and c != index and (clock is None or c != clock.column)]
        texts = [c for c in kept if kinds[c] == "text" and (clock is None or c != clock.column)]
        self._refuse_long(data, clock, texts, names)
        if self.options.columns:
            channels = [column_of(chosen, names, width, "--columns", self.name) for chosen in self.options.columns]
        else:
            channels = [c for c in numeric if not self._is_another_clock(data, c, names)]
            for column in texts:
                self.doubts.append(self._why_left_out(column, [row.cells[column] for row in data], names, clock))
        if not channels:
            raise FileError(f"{self.name}: no column is left for a channel; name those that are with --columns")
        return Layout(
            width, tuple(channels), tuple(names[c] or str(c + 1) for c in channels) if names else (), clock, index,
            self.decimal, data[0].line, tuple(self.notes), tuple(self.doubts),
        )  # fmt: skip

    def _kind(self, cells: Sequence[str]) -> str:
        there = [cell for cell in cells if cell]
        if not there:
            return "empty"
        return "number" if 2 * sum(is_number(cell, self.decimal) for cell in there) >= len(there) else "text"

    def _refuse_long(
        self, data: Sequence[Row], clock: Clock | None, texts: Sequence[int], names: Sequence[str]
    ) -> None:
        """Refuse a table with a row for each sample and channel, where a column of text says which channel."""
        if clock is None:
            return
        times = [row.cells[clock.column] for row in data]
        for column in texts:
            labels = [row.cells[column] for row in data]
            count = len(set(labels))
            places = range(0, len(data) - count + 1, count)
            if 2 <= count <= len(data) // 2 and all(
                len(set(labels[k : k + count])) == count and len(set(times[k : k + count])) == 1 for k in places
            ):
                raise FileError(
                    f"{self.name}: has a row for each sample and channel, for {_called(column, names)} takes "
                    f"turns while the time stays: give it a column for each of the {count} channels"
                )

    def _why_left_out(self, column: int, cells: Sequence[str], names: Sequence[str], clock: Clock | None) -> str:
        """Return why a column of text is no channel; of numbers whose thousands are apart that must not be."""
        there = [cell for cell in cells if cell]
        grouped = [cell for cell in there if is_grouped(cell)]
        if grouped and all(is_grouped(cell) or is_number(cell, self.decimal) for cell in there):
            raise FileError(
                f"{self.name}: {_called(column, names)} holds numbers whose thousands are set apart, such as "
                f"{grouped[0]!r}: write them without that, or name the channels with --columns"
            )
        text = f"{_called(column, names)} holds text and is left out"
        if clock is None and self.options.time is None and names and is_time_name(names[column]):
            text += (
                f": {there[0][:40]!r} is not read as a time that goes on from row to row, so neither a rate nor "
                "missing samples are told from it"
            )
        return text

    # Lines before the first row

    def _head(self, width: int, kinds: Sequence[str]) -> list[Row]:
        """Return the lines before the first row of numbers."""
        numeric = [column for column in range(width) if kinds[column] == "number"]
        for place, row in enumerate(self.rows):
            fits = len(row.cells) == width
            if place == 0 and self.options.header:
                continue
            if self.options.header is False and place == 0:
                return []
            if fits and all(is_number(row.cells[column], self.decimal) for column in numeric):
                if numeric and (any(row.cells[c] for c in numeric) or not any(row.cells)):
                    return self.rows[:place]
            elif fits and place == 0 and any(LIKE_A_NUMBER.match(row.cells[c]) for c in numeric):
                bad = next((row.cells[c] for c in numeric if not is_number(row.cells[c], self.decimal)), "")
                if LIKE_A_NUMBER.match(bad) or not all(_is_label(row.cells[c]) for c in numeric):
                    raise FileError(
                        f"{self.name}, line {row.line}: a cell must be a number, nan or empty, or all be names; "
                        f"got {bad[:40]!r}; --header tells whether it holds names"
                    )
            if place >= MAX_HEAD:
                break
        return list(self.rows)

    def _begins_with_names(self, data: Sequence[Row], kinds: Sequence[str]) -> bool:
        """Whether the first row of numbers holds names that are numbers."""
        if self.options.header is not None:
            return False
        first, later = data[0], data[1:]
        columns = [c for c in range(len(kinds)) if kinds[c] == "number"]
        unnamed = bool(columns) and columns[0] == 0 and not first.cells[0] and all(row.cells[0] for row in later)
        columns = columns[1:] if unnamed else columns
        cells = [first.cells[c] for c in columns]
        if len(later) < 3:
            return False
        if not cells or not all(map(_WHOLE.match, cells)):
            return self._refuse_even_steps(first, later, columns)
        labels = [round(float(cell)) for cell in cells]
        rises = labels == list(range(labels[0], labels[0] + len(labels)))
        formats = [{_decimals(row.cells[c]) for row in later if row.cells[c]} for c in columns]
        differs = all(len(each) == 1 and each != {0} and each != {_decimals(first.cells[c])}
                      for c, each in zip(columns, formats, strict=True))  # fmt: skip
        has_whole = [any(_POINTED_WHOLE.match(row.cells[c]) for row in later) for c in columns]
        differs = differs or (all(has_whole) and not any("." in cell for cell in cells))
        if (unnamed and rises) or differs or (rises and len(cells) > 1 and all(0 not in each for each in formats)):
            self.doubts.append(f"line {first.line}, {', '.join(first.cells)[:60]}, is taken for names of columns; "
                               "--header no takes it for a sample")  # fmt: skip
            return True
        may_be = rises and labels[0] in (0, 1) and (len(cells) > 1 or all(0 not in each for each in formats))
        if may_be:
            raise FileError(
                f"{self.name}, line {first.line}: {', '.join(cells)[:60]!r} may be names of columns or a sample: "
                "choose with --header yes or no"
            )
        return False

    def _refuse_even_steps(self, first: Row, later: Sequence[Row], columns: Sequence[int]) -> bool:
        """Refuse a first row such as 0.5,1.0,1.5 that is written otherwise than all others: names or a sample?"""
        cells = [first.cells[c] for c in columns]
        steps = np.diff([number_or_nan(cell, self.decimal) for cell in cells])
        if len(steps) < 2 or not steps[0] or not (np.abs(steps - steps[0]) <= 1e-9 * abs(steps[0])).all():
            return False
        points = [cell.replace(",", ".") for cell in cells]
        formats = [{_decimals(row.cells[c].replace(",", ".")) for row in later if row.cells[c]} for c in columns]
        if any(len(each) != 1 or _decimals(cell) in each for cell, each in zip(points, formats, strict=True)):
            return False
        raise FileError(
            f"{self.name}, line {first.line}: {', '.join(cells)[:60]!r} may be names of columns or a sample: "
            "choose with --header yes or no"
        )

    def _names(
        self, head: Sequence[Row], width: int, kinds: Sequence[str], *, may_lack_one: bool
    ) -> tuple[list[str], list[str]]:
        """Return the names of the columns and their units; nothing where there are none."""
        widths = (width, width - 1 if may_lack_one else width)
        last = [row for row in head[-1:] if width < len(row.cells) and not _has_number(row, self.decimal)]
        fitting = [row for row in head if len(row.cells) in widths or row in last]
        strays = [str(row.line) for row in head if row not in fitting]
        for row in head:
            if row not in fitting and all(is_number(cell, self.decimal) for cell in row.cells):
                raise FileError(
                    f"{self.name}, line {row.line}: every row must have {width} cell(s), got {len(row.cells)}"
                )
        if strays:
            self.doubts.append(f"line(s) {', '.join(strays[:5])} before the first number are left out")
        rows = [_wide(row.cells, width, kinds) for row in fitting]
        if not rows and self.table.last_comment:
            cells = self.table.split(self.table.last_comment)
            if len(cells) == width > 1 and not any(cell and is_number(cell) for cell in cells):
                rows = [cells]
        if len(rows) < 2:
            return rows[0] if rows else [], []
        if len(rows) > 2 and not any(map(is_unit, rows[-1])):  # names come last, after what was set up
            return rows[-1], []
        self.notes.append(f"line {fitting[-1].line} is taken for units")
        return rows[-2], rows[-1]

    # Columns

    def _is_left_out(self, column: int, kinds: Sequence[str], names: Sequence[str], width: int) -> bool:
        """Whether a column is empty and has no name."""
        if kinds[column] != "empty" or (names and names[column]):
            return False
        if width == 1:
            return False
        if any(kind != "empty" for kind in kinds[column:]):
            self.doubts.append(f"column {column + 1} is empty and is left out")
        return True

    def _time_and_index(
        self,
        data: Sequence[Row],
        kinds: Sequence[str],
        names: Sequence[str],
        units: Sequence[str],
        kept: list[int],
    ) -> tuple[Clock | None, int | None]:
        width = len(kinds)
        chosen = self.options.time
        values = {c: self._values(data, c, kinds[c]) for c in kept}
        taken = {column_of(each, names, width, "--columns", self.name) for each in self.options.columns}
        index = self._index({c: numbers for c, numbers in values.items() if c not in taken}, names)
        if chosen == "none":
            return None, index
        if chosen is not None:
            candidates = [first := column_of(chosen, names, width, "--time", self.name)]
        else:
            candidates = [c for c in kept if c not in taken and c != index]
            first = min((c for c in kept if kinds[c] == "number"), default=0)
            candidates.sort(key=lambda c: (kinds[c] == "text", not is_time_name(names[c] if names else ""), c))
        for column in candidates:
            if column not in values:
                raise FileError(f"{self.name}: --time: {_called(column, names)} is empty")
            name = names[column] if names else ""
            is_sure = chosen is not None or (is_time_name(name) and kinds[column] == "number")
            is_bare = len(kept) > 1 and not is_time_name(name) and (column == first or is_epoch(values[column]))
            if not is_sure and not (is_bare or kinds[column] == "text"):
                continue
            try:
                clock = clock_of(
                    self.name, column, name, units[column] if units else "", values[column],
                    is_sure=is_sure, is_text=kinds[column] == "text", rate_hz=self.options.rate_hz,
                )  # fmt: skip
            except FileError:
                if is_sure or not self.options.columns:
                    raise
                continue  # the channels are named: nobody needs to know what this one is
            if clock is None:
                continue
            text = f"{_called(column, names)} is a time, in {clock.unit}"
            if is_sure or kinds[column] == "text":
                self.notes.append(text)
            else:
                self.doubts.append(f"{text}, for it rises evenly; --time none and --columns override this")
            return clock, index
        return None, index

    def _is_another_clock(self, data: Sequence[Row], column: int, names: Sequence[str]) -> bool:
        """Whether a column is a further time or index, by its name and its numbers."""
        name = names[column] if names else ""
        if not is_time_name(name) and _plain(name) not in INDEX_NAMES:
            return False
        if self.options.time == "none" and is_time_name(name):
            self.notes.append(f"{_called(column, names)} is left out")
            return True
        steps = np.diff(self._values(data, column, "number"))
        if not (steps >= 0).all() or not (steps > 0).any():
            return False
        self.doubts.append(f"{_called(column, names)} is a time or an index, too, and is left out")
        return True

    def _index(self, values: dict[int, Float64Array], names: Sequence[str]) -> int | None:
        if len(values) + len(self.options.columns) < 2:
            return None
        for column, numbers in values.items():
            name = _plain(names[column]) if names else ""
            strong, weak = name in INDEX_NAMES, name in WEAK_INDEX_NAMES and (bool(names) or column == 0)
            if is_time_name(name) or not (strong or weak or column == 0) or len(numbers) < 2:
                continue
            steps = np.diff(numbers)
            counts = _counts(numbers.tolist()) and bool((numbers == np.round(numbers)).all())
            rises = counts and bool((steps > 0).all())
            if counts and (
                strong
                or (weak and names and len(numbers) >= FEW_ROWS // 2)
                or ((weak or rises) and len(numbers) >= MIN_RAMP)
            ):
                text = f"{_called(column, names)} is an index and no channel"
                if strong or (weak and names):
                    self.notes.append(text)
                else:
                    self.doubts.append(f"{text}, for it counts; --columns overrides this")
                return column
            if strong and not self.options.columns:
                raise FileError(
                    f"{self.name}: {_called(column, names)} is an index by its name, but does not count: name the "
                    "columns that are channels with --columns"
                )
        return None

    def _values(self, data: Sequence[Row], column: int, kind: str) -> Float64Array:
        if kind == "text":
            return np.array([seconds_of_text(row.cells[column]) for row in data])
        return np.array([number_or_nan(row.cells[column], self.decimal) for row in data])


def find_layout(name: str, table: Table, rows: list[Row], options: TableOptions) -> Layout:
    """Return how a table is to be read, told from its first rows, none of them empty.

    Raises
    ------
    FileError
        If that cannot be told for sure; the message names the option that says it.
    """
    if not rows:
        raise FileError(f"{name}: holds no samples: it is empty")
    return _Finder(name, table, rows, options).find()


def column_of(chosen: str, names: Sequence[str], width: int, flag: str, file: str) -> int:
    """Return the column that a name or a number means.

    Raises
    ------
    FileError
        If there is none.
    """
    if names and chosen in names:
        return list(names).index(chosen)
    if chosen.isdecimal() and 1 <= int(chosen) <= width:
        return int(chosen) - 1
    known = ", ".join(filter(None, names)) if any(names) else f"1 to {width}"
    raise FileError(f"{flag}: {file} has no column {chosen!r}; it has {known[:200]}")


def _has_number(row: Row, decimal: str) -> bool:
    return any(cell and is_number(cell, decimal) for cell in row.cells)


def is_index_name(name: str) -> bool:
    """Whether a column of this name may be an index."""
    return _plain(name) in INDEX_NAMES | WEAK_INDEX_NAMES


def _counts(numbers: Sequence[float]) -> bool:
    """Whether most of the numbers are one above the last."""
    return len(numbers) > 1 and bool((np.diff(numbers) == 1).mean() >= 0.5)


def _wide(cells: Sequence[str], width: int, kinds: Sequence[str]) -> list[str]:
    """Return names as wide as the rows: a trailing separator, or a first column of row names, may have none."""
    if len(cells) >= width:
        return list(cells[:width])
    return [*cells, ""] if kinds[-1] == "empty" else ["", *cells]


def _called(column: int, names: Sequence[str]) -> str:
    return f"column {column + 1}" + (f" ({names[column]})" if names and names[column] else "")


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[_\-.]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).lower().split())


def _is_label(cell: str) -> bool:
    return not cell or bool(_WHOLE.match(cell)) or not LIKE_A_NUMBER.match(cell)


def _decimals(cell: str) -> int:
    found = _DECIMALS.match(cell)
    return len(found[1]) if found else -1 if "e" in cell.lower() else 0
