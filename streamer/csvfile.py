"""Reads .csv files of numbers: a row a sample, a column a channel, with or without one line of names."""

import csv
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamer.errors import FileError
from streamer.messages import FloatArray

if TYPE_CHECKING:
    from _csv import Reader


def read_csv(path: Path) -> FloatArray:
    """Return the numbers [samples, columns]; an empty cell is NaN.

    The first line holds names if none of its cells is a number, and not all are empty.

    Raises
    ------
    FileError
        If a row has another number of cells than the first, or a cell is not a number; with its line number.
    OSError
        If the file cannot be read.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            return _numbers(csv.reader(file), path)
        except (UnicodeDecodeError, csv.Error) as error:
            raise FileError(f"{path}: must be comma-separated text in UTF-8: {error}") from None


def _numbers(rows: "Reader", path: Path) -> FloatArray:
    numbers = array("f")  # a long file takes 4 bytes a cell, not a list of objects
    width = 0
    for line, cells in _without_names(_numbered(rows)):
        width = width or len(cells)
        if len(cells) != width:
            raise FileError(f"{path}, line {line}: every row must have {width} cell(s), got {len(cells)}")
        try:
            numbers.extend(map(float, cells))
        except ValueError:
            del numbers[len(numbers) - len(numbers) % width :]  # what was taken of this row
            numbers.extend(_number(cell, f"{path}, line {line}") for cell in cells)
    return np.asarray(numbers).reshape(-1, max(width, 1))


def _numbered(rows: "Reader") -> Iterator[tuple[int, list[str]]]:
    """Yield rows with their line numbers, those without cells only between others."""
    blank: list[tuple[int, list[str]]] = []
    begun = False
    for cells in rows:
        if cells:
            yield from blank
            yield rows.line_num, cells
            begun = True
            blank = []
        elif begun:
            blank.append((rows.line_num, cells))


def _without_names(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        if not _are_names(cells):
            yield line, cells
        break
    yield from rows


def _are_names(cells: list[str]) -> bool:
    return any(cell.strip() for cell in cells) and not any(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, place: str) -> float:
    if not cell.strip():
        return np.nan
    try:
        return float(cell)
    except ValueError:
        raise FileError(
            f"{place}: a cell must be a number, nan or empty, with commas between cells, got {cell[:40]!r}"
        ) from None
