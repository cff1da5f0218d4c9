"""Recordings: .npy, .csv and .wav files as samples of one or more channels, read block by block."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.csvfile import read_csv
from streamer.errors import FileError
from streamer.messages import FloatArray
from streamer.wavfile import read_wav


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A file's samples, taken from it as they are asked for.

    Parameters
    ----------
    path : Path
    raw : array, shape (samples, columns) or (samples, columns, ...)
        As the file has them; mapped into memory where that can be.
    decode : callable
        Turns some of the raw samples into float32 [samples, columns].
    rate_hz : float or None
        Samples a second, where the file says it.
    """

    path: Path
    raw: NDArray[Any]
    decode: Callable[[NDArray[Any]], FloatArray]
    rate_hz: float | None = None

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return int(self.raw.shape[0])

    @property
    def columns(self) -> int:
        """Values a sample."""
        return int(self.raw.shape[1])

    def block(self, first: int, end: int) -> FloatArray:
        """Return samples `first` to `end` as float32 [samples, columns]."""
        return self.decode(self.raw[first:end])


def read_recording(path: Path, dims: tuple[int, ...] = (1, 2)) -> Recording:
    """Open a recording. Beyond the second, dimensions of a .npy array are laid out side by side as columns.

    Parameters
    ----------
    path : Path
        Its ending says what it is.
    dims : tuple of int
        How many dimensions a .npy array may have.

    Raises
    ------
    FileError
        If there is no such file, or it does not hold at least one sample of numbers.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise FileError(f"{path}: its ending must be one of {', '.join(_READERS)}: it says what the file holds")
    try:
        if not path.is_file():
            raise FileError(f"{path}: {'must be a regular file' if path.exists() else 'no such file'}")
        recording = reader(path, dims)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not recording.raw.size:
        raise FileError(f"{path}: holds no samples: its shape is {list(recording.raw.shape)}")
    return recording


def _npy(path: Path, dims: tuple[int, ...]) -> Recording:
    try:
        with warnings.catch_warnings(action="ignore"):  # of a header written under Python 2
            raw = np.lib.format.open_memmap(path, mode="r")  # never unpickles: it refuses objects
    except OSError:
        raise
    except Exception as error:  # a damaged header can raise whatever Python's own tokenizer and parser raise
        reason = " ".join(str(error).split())[:200]
        raise FileError(f"{path}: must be a complete .npy file of numbers: {reason}") from None
    if raw.dtype.kind not in "fiub":
        raise FileError(f"{path}: must hold real numbers, got {raw.dtype}: save its real part, or as float32")
    if raw.ndim not in dims:
        raise FileError(
            f"{path}: must have {' or '.join(map(str, dims))} dimensions, [samples] or [samples, channels], "
            f"got shape {list(raw.shape)}"
        )
    return Recording(path, raw.reshape(len(raw), -1) if raw.size else raw, _to_float32)


def _to_float32(raw: NDArray[Any]) -> FloatArray:
    with np.errstate(over="ignore"):  # becomes infinite, which the core replaces and counts
        return np.asarray(raw, np.float32)


def _csv(path: Path, _dims: tuple[int, ...]) -> Recording:
    return Recording(path, read_csv(path), _to_float32)


def _wav(path: Path, _dims: tuple[int, ...]) -> Recording:
    wav = read_wav(path)
    return Recording(path, wav.raw, wav.decode, wav.rate_hz or None)


_READERS: dict[str, Callable[[Path, tuple[int, ...]], Recording]] = {".npy": _npy, ".csv": _csv, ".wav": _wav}
