"""A record in a file: the length of its body, a checksum of length and body, and the body."""

import struct
import zlib

FRAME = struct.Struct("<II")  # length of the body; CRC-32 of those four bytes and the body


def framed(body: bytes) -> bytes:
    """Return a record."""
    length = len(body).to_bytes(4, "little")
    return FRAME.pack(len(body), zlib.crc32(body, zlib.crc32(length))) + body
