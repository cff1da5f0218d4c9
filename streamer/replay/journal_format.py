"""A journal's bytes: a magic word, a record that says whose it is, then a record for every chunk.

A record is its length, a checksum of length and body, and the body: JSON in the first, then a chunk's header and
payload as they are on the wire. Marks in between, JSON too, say how much of the file was forced to disk by then.
Reading finds every record that is whole, also beyond a damaged one.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from streamer.errors import WireError
from streamer.files.records import FRAME, framed
from streamer.messages import PUBLISHED, Chunk
from streamer.wire import codec

MAGIC = b"SNCSJRN1"
MAX_BODY_BYTES = codec.HEADER.size + codec.MAX_PAYLOAD_BYTES
MAX_ABOUT_BYTES = 65_536
WINDOW_BYTES = 2**20

_KIND_AT = 5  # in a chunk's header


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole record, and where it stands in the file."""

    body: bytes
    begin: int

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.begin + FRAME.size + len(self.body)


def opening(about: Mapping[str, Any]) -> bytes:
    """Return how a journal begins."""
    return MAGIC + framed(json.dumps(about, allow_nan=False).encode())


def mark(synced_bytes: int) -> bytes:
    """Return a record that says how much of the file is on disk for good."""
    return framed(json.dumps({"synced": synced_bytes}).encode())


def decode_mark(body: bytes) -> int | None:
    """Return how much of the file a record says to be on disk, or None if it is no such record."""
    synced = (decode_about(body) or {}).get("synced")
    return synced if type(synced) is int else None


def chunk_record(chunk: Chunk) -> bytes:
    """Return a chunk's record."""
    _, header, payload = codec.encode(chunk)
    return framed(header + payload)


def entries(file: BinaryIO, size: int) -> Iterator[Entry]:
    """Yield every whole record of a file of `size` bytes that begins with `MAGIC`."""
    at = len(MAGIC)
    while at + FRAME.size <= size:
        body = _body(file, at, size)
        if body is None:
            at = _next_chunk(file, at + 1, size)
            continue
        entry = Entry(body, at)
        at = entry.end
        yield entry


def decode_about(body: bytes) -> dict[str, Any] | None:
    """Return what the first record says, or None if it is none."""
    if not body.startswith(b"{") or len(body) > MAX_ABOUT_BYTES:
        return None
    try:
        about = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return about if isinstance(about, dict) else None


def decode_chunk(body: bytes, stream: str) -> Chunk | None:
    """Return the chunk of a record, or None if it is none."""
    header = body[: codec.HEADER.size]
    kinds = [kind for kind in PUBLISHED if len(header) > _KIND_AT and kind == header[_KIND_AT]]
    try:
        message = (
            codec.decode([codec.topic(kinds[0], stream), header, body[codec.HEADER.size :]]) if kinds else None
        )
    except WireError:
        return None
    return message if isinstance(message, Chunk) else None


def _body(file: BinaryIO, at: int, size: int) -> bytes | None:
    file.seek(at)
    frame = file.read(FRAME.size)
    if len(frame) < FRAME.size:
        return None
    length, checksum = FRAME.unpack(frame)
    if not 0 < length <= min(MAX_BODY_BYTES, size - at - FRAME.size):
        return None
    body = file.read(length)
    return body if zlib.crc32(body, zlib.crc32(frame[:4])) == checksum else None


def _next_chunk(file: BinaryIO, at: int, size: int) -> int:
    """Return where, from `at` on, a chunk's record may begin."""
    begin = at + FRAME.size
    while begin < size:
        file.seek(begin)
        window = file.read(WINDOW_BYTES)
        found = window.find(codec.MAGIC)
        if found >= 0:
            return begin + found - FRAME.size
        if len(window) < WINDOW_BYTES:
            break
        begin += WINDOW_BYTES - len(codec.MAGIC) + 1
    return size
