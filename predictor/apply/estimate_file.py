"""Estimates as a .npy or .csv file, written block by block and there only once it is complete."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from predictor.phase import in_phase_of, phase_and_amplitude
from streamer.errors import FileError
from streamer.files.replacement import replacing
from streamer.messages import FIELDS, FloatArray

Encode = Callable[[int, FloatArray, FloatArray], bytes]


class Format(NamedTuple):
    """What a file begins with, and how a block becomes bytes: its first seq, its inputs, its estimates."""

    head: bytes
    encode: Encode


class EstimateFile:
    """A file being written under another name.

    Parameters
    ----------
    path : Path
    file : binary file
    encode : callable
    """

    def __init__(self, path: Path, file: BinaryIO, encode: Encode) -> None:
        self._path = path
        self._file = file
        self._encode = encode

    def write(self, seq: int, inputs: FloatArray, estimates: FloatArray) -> None:
        """Append a block.

        Parameters
        ----------
        seq : int
            Index of its first sample.
        inputs : float32 array, shape (samples, channels)
        estimates : float32 array, shape (samples, channels, fields)

        Raises
        ------
        FileError
            If it cannot be written.
        """
        with _writing(self._path):
            self._file.write(self._encode(seq, inputs, estimates))


@contextmanager
def open_estimates(path: Path, samples: int, channels: int, fields: int) -> Iterator[EstimateFile]:
    """Open a file for the estimates of so many samples, missing ones included; an error leaves what was there.

    Raises
    ------
    FileError
        If the ending is unknown, or the file cannot be written.
    """
    make_format = _FORMATS.get(path.suffix.lower())
    if make_format is None:
        raise FileError(f"{path}: its ending must be .npy or .csv: it selects the format")
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: must be a regular file, to be replaced in one piece")
    head, encode = make_format(samples, channels, fields)
    with _writing(path), replacing(path) as file:
        file.write(head)
        yield EstimateFile(path, file, encode)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror or error}") from None


def _npy(samples: int, channels: int, fields: int) -> Format:
    """Header, then blocks: not a map of the whole file, where a disk that fills up would kill the process."""
    head = io.BytesIO()
    shape = samples, channels, fields
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    next_seq = 0

    def encode(seq: int, _inputs: FloatArray, estimates: FloatArray) -> bytes:
        nonlocal next_seq
        missing = np.full((seq - next_seq, channels, fields), np.nan, "<f4").tobytes()
        next_seq = seq + len(estimates)
        return missing + estimates.astype("<f4").tobytes()

    return Format(head.getvalue(), encode)


def _csv(_samples: int, channels: int, fields: int) -> Format:
    names = ["seq", *(["channel"] if channels > 1 else []), "input", *FIELDS[:fields], "phase_deg", "amplitude"]
    numbers = len(names) - names.index("input")
    # Nine significant digits read back as the same float32.
    row = ",".join(["%d"] * (len(names) - numbers) + ["%.9g"] * numbers) + "\n"

    def encode(seq: int, inputs: FloatArray, estimates: FloatArray) -> bytes:
        phases = phase_and_amplitude(estimates[..., 0], in_phase_of(estimates, inputs))
        columns = [inputs, *np.moveaxis(estimates, 2, 0), *phases]
        values = np.stack(columns, axis=-1).reshape(-1, numbers).tolist()
        if channels == 1:
            return "".join(row % (seq + n, *cells) for n, cells in enumerate(values)).encode()
        return "".join(
            row % (seq + n // channels, n % channels, *cells) for n, cells in enumerate(values)
        ).encode()

    return Format((",".join(names) + "\n").encode(), encode)


_FORMATS: dict[str, Callable[[int, int, int], Format]] = {".npy": _npy, ".csv": _csv}
