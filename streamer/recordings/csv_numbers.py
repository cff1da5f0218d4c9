"""Numbers in the cells of a table, with a decimal point or a decimal comma."""

import re
from collections.abc import Sequence

import numpy as np

from streamer.errors import FileError
from streamer.recordings.csv_text import Row

MISSING = {"", "na", "n/a", "nan", "-nan", "null", "none", "missing"}
MISSING |= {"#n/a", "#num!", "#div/0!", "#value!", "#ref!", "#name?", "#null!"}  # of spreadsheets

LIKE_A_NUMBER = re.compile(r"[-+]?[.,]?\d")
_DECIMAL_COMMA = re.compile(r"[-+]?(\d*|\d{1,3}([.'\s\u2019]\d{3})+),\d+(e[-+]?\d+)?$", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$")
_GROUPED = re.compile(r"[-+]?\d{1,3}([.,'\s\u2019]\d{3})+([.,]\d*)?$")  # thousands, in any country
_INTEGER = re.compile(r"[-+]?\d+$")
_FRACTION = re.compile(r"\d+(e[-+]?\d+)?$", re.IGNORECASE)


def number(cell: str, decimal: str = ".") -> float:
    """Return the number in a cell, NaN where it is missing.

    Raises
    ------
    ValueError
        If it is none.
    """
    if cell.lower() in MISSING:
        return np.nan
    if decimal == ",":
        if "." in cell:
            raise ValueError(cell)
        cell = cell.replace(",", ".")
    if "_" in cell:
        raise ValueError(cell)
    return float(cell)


def is_number(cell: str, decimal: str = ".") -> bool:
    """Whether there is a number in a cell, or it is missing."""
    try:
        number(cell, decimal)
    except ValueError:
        return False
    return True


def is_grouped(cell: str) -> bool:
    """Whether a cell may be a number with something between its thousands."""
    return bool(_GROUPED.match(cell))


def number_or_nan(cell: str, decimal: str) -> float:
    """Return the number in a cell; NaN where there is none."""
    try:
        return number(cell, decimal)
    except ValueError:
        return np.nan


def decimal_of(name: str, rows: Sequence[Row]) -> str:
    """Return what stands before the decimals of the numbers in a table.

    Raises
    ------
    FileError
        If that cannot be told for sure.
    """
    cells = [cell for row in rows for cell in row.cells]
    commas = [cell for cell in cells if "," in cell and ":" not in cell and LIKE_A_NUMBER.match(cell)]
    numbers = [cell for cell in commas if _DECIMAL_COMMA.match(cell)]
    if commas and all(_THOUSANDS.match(cell) for cell in commas):
        raise FileError(
            f"{name}: {commas[0]!r} may be a decimal comma or a thousand: choose with --decimal , or ."
        )
    if numbers and 2 * len(numbers) > len(commas):
        return ","
    _refuse_split_numbers(name, rows)
    return "."


def _refuse_split_numbers(name: str, rows: Sequence[Row]) -> None:
    """Refuse `0,05`, of one number that a comma splits in two."""
    pieces = [row.cells for row in rows if all(map(_is_piece, row.cells))]
    if len(pieces) < 2 or 2 * len(pieces) < len(rows):
        return
    width = len(pieces[-1])
    if any(len(row.cells) == width and all(map(_is_word, row.cells)) for row in rows):
        return  # as many names as cells: the commas are between cells
    for left in range(max(map(len, pieces)) - 1):
        pairs = [(cells[left], cells[left + 1]) for cells in pieces if len(cells) > left + 1]
        if not all(_INTEGER.match(before) and _FRACTION.match(after) for before, after in pairs):
            continue
        padded = any(after.startswith("0") and len(after) > 1 for _, after in pairs)
        negative = any(before.startswith("-0") for before, _ in pairs)
        signed = any(before[0] == "-" for before, _ in pairs) and any(len(after) > 1 for _, after in pairs)
        if padded or negative or signed:
            raise FileError(
                f"{name}: {','.join(pairs[0])!r} looks like a number with a decimal comma: give "
                "--decimal , if it is one, --decimal . if these are two columns"
            )


def _is_word(cell: str) -> bool:
    return bool(cell) and not LIKE_A_NUMBER.match(cell) and cell.lower() not in MISSING


def _is_piece(cell: str) -> bool:
    return not cell or bool(_INTEGER.match(cell) or _FRACTION.match(cell))
