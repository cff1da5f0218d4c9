"""Reads .wav files: integer PCM and floats, plain or `WAVE_FORMAT_EXTENSIBLE`.

The standard library's `wave` refuses floats, which is what scientific software writes, and under Python 3.11 the
extensible header too. Layout: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0",
1991; Microsoft, `WAVEFORMATEXTENSIBLE`.
"""

import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.errors import FileError
from streamer.messages import FloatArray

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
UNKNOWN_BYTES = 0xFFFFFFFF  # what who writes to a pipe says of a length; others leave 0
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of a subformat, after its 2-byte format


_log = logging.getLogger("sincos")


class Encoding(NamedTuple):
    """How a sample lies in the file: NumPy's type, how many of them, and how they become float32."""

    dtype: str
    items: int
    decode: Callable[[NDArray[Any]], FloatArray]


class Wav(NamedTuple):
    """A file's samples as they lie on disk, mapped into memory."""

    raw: NDArray[Any]
    decode: Callable[[NDArray[Any]], FloatArray]
    rate_hz: float


def read_wav(path: Path) -> Wav:
    """Open a .wav file.

    Integers are divided by 2^(bits - 1), so that full scale is 1; 8-bit ones are offset binary, 128 is 0. A file
    whose header leaves its length open, as one written to a pipe, is read to its end.

    Raises
    ------
    FileError
        If it is not one, is cut short, or holds another encoding.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        layout, data_at, data_bytes = _chunks(file, path)
    kind, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", layout[:16])
    if kind == EXTENSIBLE and layout[26:40] == GUID_TAIL:
        (kind,) = struct.unpack("<H", layout[24:26])
    encoding = ENCODINGS.get((kind, bits))
    if encoding is None or frame_bytes * 8 != channels * bits or not channels:
        raise FileError(
            f"{path}: must be PCM of 8, 16, 24 or 32 bits or floats of 32 or 64 bits, got format {kind:#x} with "
            f"{bits} bits and {frame_bytes} bytes for {channels} channel(s): convert it"
        )
    samples = data_bytes // frame_bytes
    shape = (samples, channels, encoding.items) if encoding.items > 1 else (samples, channels)
    if not samples:
        return Wav(np.empty(shape, encoding.dtype), encoding.decode, float(rate_hz))
    return Wav(np.memmap(path, encoding.dtype, "r", data_at, shape), encoding.decode, float(rate_hz))


def _chunks(file: BinaryIO, path: Path) -> tuple[bytes, int, int]:
    """Return the `fmt ` chunk, and where the samples begin and how many bytes they have."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise FileError(f"{path}: must begin as a RIFF WAVE file, got {head!r}")
    (riff_bytes,) = struct.unpack("<I", head[4:8])
    layout = b""
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            break
        body = file.read(size + size % 2)  # chunks begin at even places
        if name == b"fmt ":
            layout = body
    else:
        raise FileError(f"{path}: has no data chunk; is it complete?")
    if len(layout) < 16:
        raise FileError(f"{path}: has no format before its samples")
    begin, end = file.tell(), file.seek(0, 2)
    is_open = size == UNKNOWN_BYTES or (size == 0 and riff_bytes + 8 != end)
    if is_open:
        _log.warning("%s: its header does not say how long it is; it is read to its end", path)
        return layout, begin, end - begin
    if begin + size > end:
        raise FileError(f"{path}: its header promises {size} bytes of samples, {end - begin} are there")
    return layout, begin, size


def _offset_binary(raw: NDArray[Any]) -> FloatArray:
    return (raw.astype(np.float32) - np.float32(128)) / np.float32(128)


def _integers(bits: int) -> Callable[[NDArray[Any]], FloatArray]:
    scale = np.float32(2.0 ** (1 - bits))
    return lambda raw: raw.astype(np.float32) * scale


def _three_bytes(raw: NDArray[Any]) -> FloatArray:
    wide = np.zeros((*raw.shape[:-1], 4), np.uint8)
    wide[..., 1:] = raw  # as the upper bytes of 32 bits, little-endian, the sign is where it belongs
    return _integers(32)(wide.view("<i4")[..., 0])


def _floats(raw: NDArray[Any]) -> FloatArray:
    with np.errstate(over="ignore"):  # becomes infinite, which a reader must expect anyway
        return raw.astype(np.float32)


ENCODINGS = {
    (PCM, 8): Encoding("u1", 1, _offset_binary),
    (PCM, 16): Encoding("<i2", 1, _integers(16)),
    (PCM, 24): Encoding("u1", 3, _three_bytes),
    (PCM, 32): Encoding("<i4", 1, _integers(32)),
    (FLOAT, 32): Encoding("<f4", 1, _floats),
    (FLOAT, 64): Encoding("<f8", 1, _floats),
}
"""(format, bits) -> encoding."""
