"""Recordings: .npy, .csv and .wav files as samples of one or more channels, read block by block."""

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import FileError, UsageError
from streamer.messages import FloatArray
from streamer.recordings.csv_file import gaps_of, read_csv
from streamer.recordings.csv_layout import TableOptions
from streamer.recordings.wav_file import read_wav

MAX_OFF = 0.05  # between a rate that is said and one that is measured
WORTH_A_WORD = 0.005

_log = logging.getLogger("sincos")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A file's samples, taken from it as they are asked for.

    Parameters
    ----------
    path : Path
    raw : array, shape (rows, columns) or (rows, columns, ...)
        As the file has them, without those that are missing; mapped into memory where that can be.
    decode : callable
        Turns some of the raw samples into float32 [samples, columns].
    rate_hz : float or None
        Samples a second, where the file says it.
    names : tuple of str
        Of the columns, where the file says them.
    starts : tuple of (row, seq)
        Where rows go on, the first one and after each gap; (0, 0) alone where none is missing.
    is_rate_measured : bool
        The rate is what the file's times amount to, and need not be exact.
    """

    path: Path
    raw: NDArray[Any]
    decode: Callable[[NDArray[Any]], FloatArray]
    rate_hz: float | None = None
    names: tuple[str, ...] = ()
    starts: tuple[tuple[int, int], ...] = ((0, 0),)
    is_rate_measured: bool = False

    @property
    def rows(self) -> int:
        """How many samples are there."""
        return int(self.raw.shape[0])

    @property
    def samples(self) -> int:
        """How many samples there would be if none was missing."""
        row, seq = self.starts[-1]
        return seq + self.rows - row

    @property
    def columns(self) -> int:
        """Values a sample."""
        return int(self.raw.shape[1])

    def block(self, first: int, end: int) -> FloatArray:
        """Return rows `first` to `end` as float32 [samples, columns]."""
        return self.decode(self.raw[first:end])

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Yield first row, row past the last, and seq of the first, of all samples between two gaps."""
        ends = [row for row, _ in self.starts[1:]] + [self.rows]
        for (row, seq), end in zip(self.starts, ends, strict=True):
            yield row, end, seq

    def gaps(self) -> list[tuple[int, int]]:
        """Return the first sample that is missing, and how many are, of each gap."""
        return [(first, missing) for _, first, missing in gaps_of(self.starts)]

    def rate(self, chosen_hz: float | None) -> float | None:
        """Return the samples a second: those chosen, or what the file says; None where nobody does.

        Raises
        ------
        UsageError
            If the two disagree: by anything, or by 5 % where the file's rate is measured.
        """
        if chosen_hz is None or self.rate_hz is None:
            return self.rate_hz if chosen_hz is None else chosen_hz
        off = abs(self.rate_hz / chosen_hz - 1)
        if off > (MAX_OFF if self.is_rate_measured else 0):
            how = "its times amount to" if self.is_rate_measured else "it states"
            raise UsageError(
                f"--rate: {self.path}: {how} {self.rate_hz:g} samples a second, got {chosen_hz:g}; leave it out"
            )
        if off > WORTH_A_WORD:
            _log.warning(
                "%s: its times amount to %g samples/s; taken to be %g", self.path, self.rate_hz, chosen_hz
            )
        return chosen_hz


def read_recording(
    path: Path, dims: tuple[int, ...] = (1, 2), table_options: TableOptions | None = None
) -> Recording:
    """Open a recording. Beyond the second, dimensions of a .npy array are laid out side by side as columns.

    Parameters
    ----------
    path : Path
        Its ending says what it is.
    dims : tuple of int
        How many dimensions a .npy array may have.
    table_options : TableOptions or None
        What is known of a .csv file.

    Raises
    ------
    FileError
        If there is no such file, or it does not hold at least one sample of numbers.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise FileError(f"{path}: its ending must be one of {', '.join(_READERS)}: it selects the format")
    try:
        if not path.is_file():
            raise FileError(f"{path}: {'must be a regular file' if path.exists() else 'no such file'}")
        recording = reader(path, dims, table_options)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not recording.raw.size:
        raise FileError(f"{path}: holds no samples: its shape is {list(recording.raw.shape)}")
    return recording


def _npy(path: Path, dims: tuple[int, ...], _options: TableOptions | None) -> Recording:
    try:
        with warnings.catch_warnings(action="ignore"):  # of a header written under Python 2
            raw = np.lib.format.open_memmap(path, mode="r")  # never unpickles: it refuses objects
    except OSError:
        raise
    except Exception as error:  # a damaged header can raise whatever Python's own tokenizer and parser raise
        reason = " ".join(str(error).split())[:200]
        raise FileError(f"{path}: must be a complete .npy file of numbers: {reason}") from None
    if raw.dtype.kind not in "fiub":
        raise FileError(f"{path}: {not_real(raw.dtype)}")
    if raw.ndim not in dims:
        raise FileError(
            f"{path}: must have {' or '.join(map(str, dims))} dimensions, [samples] or [samples, channels], "
            f"got shape {list(raw.shape)}"
        )
    if raw.ndim == 2 and raw.size and (doubt := shape_doubt(raw.shape)):
        _log.warning("%s: %s", path, doubt)
    return Recording(path, raw.reshape(len(raw), -1) if raw.size else raw, _to_float32)


def not_real(dtype: "np.dtype[Any]") -> str:
    """Return what is wrong with an array of a type that is no real number."""
    rule = "must hold real numbers"
    return f"{rule}, got {dtype}: " + ("save its real part" if dtype.kind == "c" else "save it as float32")


def shape_doubt(shape: tuple[int, ...]) -> str:
    """Return what to say of an array with more channels than samples; nothing of others."""
    if shape[1] <= shape[0]:
        return ""
    return (
        f"{shape[0]} sample(s) of {shape[1]} channels, for the shape is [samples, channels]; if it is "
        "[channels, samples], transpose it"
    )


def _to_float32(raw: NDArray[Any]) -> FloatArray:
    with np.errstate(over="ignore"):  # becomes infinite, which the core replaces and counts
        return np.asarray(raw, np.float32)


def _csv(path: Path, _dims: tuple[int, ...], options: TableOptions | None) -> Recording:
    content = read_csv(path, options)
    if len(content.values) and (doubt := shape_doubt(content.values.shape)):
        _log.warning("%s: %s", path, doubt)
    timing = content.timing
    if timing is None:
        return Recording(path, content.values, _to_float32, names=content.names)
    return Recording(
        path, content.values, _to_float32, timing.rate_hz or None, content.names, timing.starts,
        is_rate_measured=True,
    )  # fmt: skip


def _wav(path: Path, _dims: tuple[int, ...], _options: TableOptions | None) -> Recording:
    wav = read_wav(path)
    return Recording(path, wav.raw, wav.decode, wav.rate_hz or None)


_Read = Callable[[Path, tuple[int, ...], TableOptions | None], Recording]
_READERS: dict[str, _Read] = {".npy": _npy, ".csv": _csv, ".wav": _wav, ".tsv": _csv, ".txt": _csv}
