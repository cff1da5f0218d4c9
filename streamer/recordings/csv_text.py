"""Text of a table as rows of cells: which separator, which lines are comments, which are empty."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streamer.errors import FileError

SEPARATORS = (";", "\t", "|", ",")
SNIFFED_LINES = 200  # of which the separator is told
COMMENTS = ("#", "%", "//")
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*$')  # written by spreadsheets
_QUOTED = re.compile(r'"[^"]*"')
_SHEET_ERROR = re.compile(r"#(N/A|NUM!|DIV/0!|VALUE!|REF!|NAME\?|NULL!)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?$", re.IGNORECASE)
_PIECE = re.compile(r"[-+]?[\dT:./-]*(,\d+)?(e[-+]?\d+)?$", re.IGNORECASE)  # of numbers, dates and times
_SPACED = re.compile(r"\S\s+\S")
_ENCODINGS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a line; none where it is empty."""

    line: int
    cells: list[str]
    is_whole: bool = True
    """Whether the line ended: the last one of a recorder that was killed did not."""


def encoding_of(begin: bytes) -> str:
    """Return the encoding of a file that begins so. Other bytes than UTF-8 stand in names alone."""
    for mark, encoding in _ENCODINGS:
        if begin.startswith(mark):
            return encoding
    return "utf-8"


def separator_of(lines: Iterable[str]) -> str | None:
    """Return what stands between cells in the first lines of a text; a space for any blanks, None for nothing."""
    counts: Counter[str] = Counter()
    spaced = known = commas_inside = 0
    for line in lines:
        text = _QUOTED.sub("", line).strip("\r\n")
        chosen = _SEP_LINE.match(line)
        if chosen:
            return chosen[1]
        if not text.strip() or is_comment(text):
            continue
        known += 1
        counts.update(separator for separator in SEPARATORS if separator in text)
        spaced += bool(_SPACED.search(text))
        commas_inside += _is_spaced_with_commas(text)
    most = max(counts.values(), default=0)
    if 2 * most >= known > 0 and most:
        separator = next(separator for separator in SEPARATORS if counts[separator] == most)
        return " " if separator == "," and 2 * commas_inside > counts[","] else separator
    return " " if 2 * spaced > known else None


def _is_spaced_with_commas(text: str) -> bool:
    """Whether blanks separate the numbers of a line, and commas their decimals."""
    pieces = text.split()
    return len(pieces) > 1 and all(map(_PIECE.match, pieces)) and any(map(_DECIMAL_COMMA.match, pieces))


def is_comment(line: str) -> bool:
    """Whether a line is a comment."""
    text = line.lstrip()
    return text.startswith(COMMENTS) and not _SHEET_ERROR.match(text)


class Table:
    """Rows of a text, comments left out.

    Parameters
    ----------
    lines : iterable of str
        With their ends.
    separator : str or None
        As of `separator_of`.
    name : str
        What the text is called in errors.

    Attributes
    ----------
    last_comment : str
        The comment that came last: some programs write the names of columns into it.
    """

    def __init__(self, lines: Iterable[str], separator: str | None, name: str) -> None:
        self.last_comment = ""
        self._lines = lines
        self._separator = separator
        self._name = name
        self._line = 0
        self._is_whole = True

    def split(self, text: str) -> list[str]:
        """Return the cells of one line."""
        if self._separator == " ":
            return text.split()
        return [cell.strip() for cell in next(iter(self._read([text])), [])]

    def __iter__(self) -> Iterator[Row]:
        try:
            if self._separator == " ":
                for text in self._kept():
                    yield Row(self._line, text.replace('"', "").split(), self._is_whole)
                return
            for cells in self._read(self._kept()):
                yield Row(self._line, _stripped(cells), self._is_whole)
        except csv.Error as error:
            raise FileError(f"{self._name}, line {self._line}: cannot be read as a table: {error}") from None

    def _read(self, lines: Iterable[str]) -> Iterator[list[str]]:
        # A form feed separates nothing: each line is one cell.
        return csv.reader(lines, delimiter=self._separator or "\f", skipinitialspace=True)

    def _kept(self) -> Iterator[str]:
        for text in self._lines:
            self._line += 1
            self._is_whole = text.endswith(("\n", "\r"))
            if is_comment(text):
                self.last_comment = text.strip().lstrip("#%/ ")
            elif not _SEP_LINE.match(text):
                yield (text.rstrip("\0") if "\0" in text else text).replace("\N{MINUS SIGN}", "-")


def _stripped(cells: list[str]) -> list[str]:
    cells = [cell.strip() for cell in cells]
    return cells if any(cells) or len(cells) > 1 else []
