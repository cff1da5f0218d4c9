"""Reads .wav files: integer PCM and floats, plain or `WAVE_FORMAT_EXTENSIBLE`, RIFF or RF64.

The standard library's `wave` refuses floats, which is what scientific software writes, RF64, and under Python 3.11
the extensible header too. soundfile (3.7 MB) and scipy read 250 of 1,000 samples where a size is stale, silently.
Layout: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991; Microsoft,
`WAVEFORMATEXTENSIBLE`.
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
UNKNOWN_LONG_BYTES = 2**64 - 1  # the same in RF64
ID3V1_BYTES = 128
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
    whose header leaves its length open or is wrong about it, as one written to a pipe or by a recorder that was
    killed, is read to its end, with a warning.

    Raises
    ------
    FileError
        If it is not one, or holds another encoding.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        layout, data_at, data_bytes = _chunks(file, path)
    encoding, channels, frame_bytes, rate_hz = frames_of(layout, str(path))
    samples, rest = divmod(data_bytes, frame_bytes)
    if rest:
        _log.warning("%s: its last sample is cut short and left out", path)
    shape = (samples, channels, encoding.items) if encoding.items > 1 else (samples, channels)
    if not samples:
        return Wav(np.empty(shape, encoding.dtype), encoding.decode, rate_hz)
    return Wav(np.memmap(path, encoding.dtype, "r", data_at, shape), encoding.decode, rate_hz)


def frames_of(layout: bytes, name: str) -> tuple[Encoding, int, int, float]:
    """Return encoding, channels, bytes of a sample of all channels, and rate, as a `fmt ` chunk has them.

    Raises
    ------
    FileError
        If they are none that can be read.
    """
    if len(layout) < 16:
        raise FileError(f"{name}: has no format before its samples")
    kind, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", layout[:16])
    if kind == EXTENSIBLE and layout[26:40] == GUID_TAIL:
        (kind,) = struct.unpack("<H", layout[24:26])
    encoding = ENCODINGS.get((kind, bits))
    if encoding is None or frame_bytes * 8 != channels * bits or not channels:
        raise FileError(
            f"{name}: must be PCM of 8, 16, 24 or 32 bits or floats of 32 or 64 bits, got format {kind:#x} with "
            f"{bits} bits and {frame_bytes} bytes for {channels} channel(s): convert it"
        )
    return encoding, channels, frame_bytes, float(rate_hz)


def _chunks(file: BinaryIO, path: Path) -> tuple[bytes, int, int]:
    """Return the `fmt ` chunk, and where the samples begin and how many bytes they have."""
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        raise FileError(f"{path}: must begin as a RIFF or RF64 WAVE file, got {head!r}: convert it")
    layout, long_bytes, at = b"", None, 12
    while True:
        file.seek(at)
        chunk = file.read(8)
        if len(chunk) < 8:
            raise FileError(f"{path}: has no data chunk; is it complete?")
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            break
        if name in (b"fmt ", b"ds64"):
            body = file.read(min(size, 4096))
            if name == b"fmt ":
                layout = body
            elif len(body) >= 16:
                (long_bytes,) = struct.unpack("<Q", body[8:16])
        at = _after(file, at + 8 + size)
    begin = at + 8
    if size == UNKNOWN_BYTES and long_bytes is not None:
        size = long_bytes
        if size == UNKNOWN_LONG_BYTES:
            size = UNKNOWN_BYTES
    frames_of(layout, str(path))
    return layout, begin, _sample_bytes(file, path, begin, size, end)


def _sample_bytes(file: BinaryIO, path: Path, begin: int, stated: int, end: int) -> int:
    """Return how many bytes of samples there are, whatever the header states."""
    there = end - begin
    if stated in (there, there - 1) or (stated < there and _ends_in_chunks(file, begin + stated, end)):
        return stated
    if 0 < stated < there and _is_tag(file, _after(file, begin + stated), end):
        return stated
    if stated in (0, UNKNOWN_BYTES):
        _log.warning("%s: its header does not state its length; it is read to its end", path)
        return there
    if stated < there and _is_blank(file, begin + stated, end):
        _log.warning("%s: zeros after its %d bytes of samples are left out", path, stated)
        return stated
    _log.warning(
        "%s: its header states %d bytes of samples, %d are there; it is read to its end",
        path, stated, there,
    )  # fmt: skip
    return there


def _ends_in_chunks(file: BinaryIO, at: int, end: int) -> bool:
    """Whether nothing but whole chunks lies between a place and the end."""
    at = _after(file, at)
    while at < end:
        file.seek(at)
        head = file.read(8)
        if end - at < 8:
            return end - at < 4 or is_chunk_name(head)
        name, size = struct.unpack("<4sI", head)
        if not is_chunk_name(name) or at + 8 + size > end:
            return False
        at = _after(file, at + 8 + size)
    return at - 1 <= end  # the last one may lack its padding


def _is_tag(file: BinaryIO, at: int, end: int) -> bool:
    """Whether a tag of a music program, which is no chunk, lies between a place and the end."""
    file.seek(at)
    head = file.read(8)
    return is_tag_name(head) or (head[:3] == b"TAG" and end - at == ID3V1_BYTES)


def _after(file: BinaryIO, at: int) -> int:
    """Return where the chunk after one that ends here begins: at an even place, but some writers forget that."""
    if at % 2 == 0:
        return at
    file.seek(at)
    five = file.read(5)
    return at if is_chunk_name(five[:4]) and not is_chunk_name(five[1:]) else at + 1


def is_tag_name(begin: bytes) -> bool:
    """Whether bytes begin an ID3v2 or APE tag."""
    return (begin[:3] == b"ID3" and begin[3:4] < b"\x10") or begin[:8] == b"APETAGEX"


def is_chunk_name(name: bytes) -> bool:
    """Whether bytes may begin a chunk."""
    return len(name) >= 4 and all(0x20 <= byte < 0x7F for byte in name[:4])


def _is_blank(file: BinaryIO, at: int, end: int) -> bool:
    file.seek(at)
    while at < end:
        block = file.read(min(2**20, end - at))
        if any(block):
            return False
        at += len(block)
    return True


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
