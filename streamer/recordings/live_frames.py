"""Reads .wav and .npy as they come through a pipe: a header, then samples of a fixed size."""

import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import FileError
from streamer.messages import FloatArray
from streamer.recordings.recording import not_real, shape_doubt
from streamer.recordings.wav_file import UNKNOWN_BYTES, frames_of, is_chunk_name, is_tag_name

WAV_MAGICS = (b"RIFF", b"RF64", b"BW64")
NPY_MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 2**20
OPEN_BYTES = 0x7FF00000  # a length from here on is what is written where it is not known

_log = logging.getLogger("sincos")


class ByteStream:
    """Bytes as they come.

    Parameters
    ----------
    read : callable
        Returns what has come, at least one byte and at most as many as it is asked for; none at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read_some = read
        self._held = b""

    def peek(self, count: int) -> bytes:
        """Return the next bytes and keep them; fewer at the end."""
        while len(self._held) < count and (more := self._read_some(65536)):
            self._held += more
        return self._held[:count]

    def read(self, count: int) -> bytes:
        """Return so many bytes; fewer at the end."""
        taken = self.peek(count)
        self._held = self._held[len(taken) :]
        return taken

    def some(self, count: int) -> bytes:
        """Return what has come, at most so many bytes."""
        taken = self.peek(1) and self._held[:count]
        self._held = self._held[len(taken) :]
        return taken

    def lines(self) -> Iterator[str]:
        """Yield what has come as text, line by line."""
        held = b""
        while more := self.some(65536):
            *whole, held = (held + more).split(b"\n")
            for line in whole:
                yield (line + b"\n").decode("utf-8", "surrogateescape")
        if held:
            yield held.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Samples that follow a header.

    Parameters
    ----------
    name : str
        What they are called in errors.
    stream : ByteStream
    dtype : str
    shape : tuple of int
        Of one sample.
    decode : callable
    rate_hz : float or None
    most_bytes : int or None
        How many follow, where the header says it.
    goes_on : callable
        Whether what comes after those is samples, too.
    """

    name: str
    stream: ByteStream
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    decode: Callable[[NDArray[Any]], FloatArray]
    rate_hz: float | None
    most_bytes: int | None
    goes_on: Callable[[], bool]

    @property
    def channels(self) -> int:
        """Values a sample."""
        return self.shape[0]

    def blocks(self) -> Iterator[FloatArray]:
        """Yield what has come as float32 [samples, channels]."""
        size = self.dtype.itemsize * int(np.prod(self.shape))
        left, held = self.most_bytes, b""
        while True:
            if left == 0 and not self.goes_on():
                break
            left = left or None
            more = self.stream.some(65536 if left is None else min(65536, left))
            if not more:
                if left:
                    _log.warning("%s: ends %d bytes before the length in its header", self.name, left)
                break
            left = None if left is None else left - len(more)
            held += more
            count = len(held) // size
            if count:
                yield self.decode(np.frombuffer(held[: count * size], self.dtype).reshape(count, *self.shape))
            held = held[count * size :]
        if held:
            _log.warning("%s: its last sample is cut short and left out", self.name)


def wav_frames(stream: ByteStream, name: str) -> Frames:
    """Return the samples of a .wav.

    Raises
    ------
    FileError
        If it is none that can be read.
    """
    stream.read(12)
    layout, long_bytes = b"", None
    while True:
        head = stream.read(8)
        if len(head) < 8:
            raise FileError(f"{name}: has no data chunk; is it complete?")
        chunk, size = struct.unpack("<4sI", head)
        if chunk == b"data":
            break
        if size > MAX_HEADER_BYTES:
            raise FileError(f"{name}: a chunk of {size} bytes comes before its samples: convert it")
        body = stream.read(size + size % 2)
        if chunk == b"fmt ":
            layout = body
        elif chunk == b"ds64" and len(body) >= 16:
            (long_bytes,) = struct.unpack("<Q", body[8:16])
    encoding, channels, _, rate_hz = frames_of(layout, name)
    if size == UNKNOWN_BYTES and long_bytes is not None and long_bytes < 2**63:
        size = long_bytes
    is_open = size == 0 or OPEN_BYTES <= size <= UNKNOWN_BYTES

    def goes_on() -> bool:
        after = stream.peek(8 + size % 2)[size % 2 :]
        if not after or is_chunk_name(after) or is_tag_name(after):
            return False
        _log.warning("%s: its header states %d bytes of samples, more come: it is read to its end", name, size)
        return True

    shape = (channels, encoding.items) if encoding.items > 1 else (channels,)
    return Frames(
        name, stream, np.dtype(encoding.dtype), shape, encoding.decode, rate_hz or None,
        None if is_open else size, goes_on,
    )  # fmt: skip


def npy_frames(stream: ByteStream, name: str) -> Frames:
    """Return the samples of a .npy.

    Raises
    ------
    FileError
        If it is none that can be read.
    """
    try:
        version = np.lib.format.read_magic(stream)  # type: ignore[arg-type]
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(stream)  # type: ignore[arg-type]
    except Exception as error:  # a damaged header can raise whatever Python's own tokenizer and parser raise
        raise FileError(f"{name}: must be a .npy of numbers: {' '.join(str(error).split())[:200]}") from None
    if dtype.kind not in "fiub":
        raise FileError(f"{name}: {not_real(dtype)}")
    if len(shape) not in (1, 2) or not all(shape):
        raise FileError(
            f"{name}: must have 1 or 2 dimensions, [samples] or [samples, channels], got {list(shape)}"
        )
    if len(shape) > 1 and (doubt := shape_doubt(shape)):
        _log.warning("%s: %s", name, doubt)
    if is_fortran and len(shape) > 1 and 1 not in shape:
        raise FileError(f"{name}: lies channel by channel: give it as a file, or save it in C order")

    def decode(raw: NDArray[Any]) -> FloatArray:
        with np.errstate(over="ignore"):
            return raw.astype(np.float32)

    size = dtype.itemsize * int(np.prod(shape))
    return Frames(name, stream, dtype, shape[1:] or (1,), decode, None, size, lambda: False)
