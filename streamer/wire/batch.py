"""Chunks that come or go back to back, as one value: decoded, checked and encoded all at once.

A stream at tens of thousands of messages a second spends most of its time message by message; thirty that have
queued up cost little more than one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from streamer.errors import WireError
from streamer.messages import Burst, Chunk, Gone, Incoming, Kind, Message, Rejected, TimeArray
from streamer.wire import codec

SEQ, TIME_NS, TALLY = slice(24, 32), slice(32, 40), slice(56, 64)  # where they stand in a header
MIN_CHUNKS = 3  # fewer are decoded as quickly one by one
MAX_VALUES = 8192  # in one burst: what its estimates may keep the others waiting

Parts = Sequence[bytes]
Decode = Callable[[Parts], Message | Gone]


def decode(said: Sequence[Parts], one: Decode = codec.decode) -> list[Incoming]:
    """Return messages, each given as its parts, in order; neighbouring chunks of a stream as bursts.

    `one` decodes a message that comes alone.
    """
    if len(said) < MIN_CHUNKS:
        return decode_each(said, one)
    messages: list[Incoming] = []
    for _, group in groupby(said, key=_first_part):
        neighbours = list(group)
        if len(neighbours) < MIN_CHUNKS:
            messages += decode_each(neighbours, one)
        else:
            messages += _decode_neighbours(neighbours, one)
    return messages


def decode_each(said: Iterable[Parts], one: Decode = codec.decode) -> list[Incoming]:
    """Return messages, each given as its parts, in order."""
    return [_decode_one(parts, one) for parts in said]


def encode(burst: Burst) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Return the parts of each chunk of a burst."""
    count = len(burst.times_ns)
    topic, header, _ = codec.encode(next(burst.chunks()))
    payload = codec.payload(burst.chunk.values)
    size = len(payload) // count
    headers = np.tile(np.frombuffer(header, np.uint8), (count, 1))
    headers[:, SEQ] = _as_bytes(_seqs(burst))
    headers[:, TIME_NS] = _as_bytes(burst.times_ns)
    headers[:, TALLY] = _as_bytes(np.array(burst.tallies(), np.uint64))
    said = headers.tobytes()
    for k in range(count):
        place = k * len(header)
        yield topic, said[place : place + len(header)], payload[k * size : (k + 1) * size]


def _first_part(parts: Parts) -> bytes:
    return parts[0]


def _decode_one(parts: Parts, one: Decode = codec.decode) -> Incoming:
    try:
        return one(parts)
    except WireError as error:
        return Rejected(str(error))


def _decode_neighbours(neighbours: list[Parts], one: Decode) -> list[Incoming]:
    """Decode messages of one topic: as bursts of as many chunks as may be, or each by itself."""
    first = _decode_one(neighbours[0], one)
    most = MAX_VALUES // first.values.size if isinstance(first, Chunk) else 0
    if not isinstance(first, Chunk) or most < MIN_CHUNKS:
        return decode_each(neighbours, one)
    messages: list[Incoming] = []
    for start in range(0, len(neighbours), most):
        part = neighbours[start : start + most]
        burst = _burst(part)
        messages += decode_each(part, one) if burst is None else [burst]
    return messages


def _burst(said: list[Parts]) -> Burst | None:
    """Return equally long chunks of one run, one after another, as a burst; None if they are anything else."""
    first, last = _decode_one(said[0]), _decode_one(said[-1])
    if not isinstance(first, Chunk) or not isinstance(last, Chunk):
        return None
    lengths = [len(said[0][1]), len(said[0][2])]
    if any([len(part) for part in parts[1:]] != lengths for parts in said):
        return None
    headers = np.frombuffer(b"".join([parts[1] for parts in said]), np.uint8).reshape(len(said), -1)
    times_ns = np.ascontiguousarray(headers[:, TIME_NS]).view("<i8")[:, 0]
    values = np.frombuffer(b"".join([parts[2] for parts in said]), "<f4").reshape(-1, *first.values.shape[1:])
    step, uneven = (
        (0, 0) if first.kind is Kind.ESTIMATE else divmod(last.tally - first.tally, max(1, len(said) - 1))
    )
    burst = Burst(replace(first, values=values), times_ns, step)
    if step < 0 or uneven or burst.tallies()[-1] != last.tally:
        return None
    expected = np.tile(headers[0], (len(said), 1))
    expected[:, SEQ] = _as_bytes(_seqs(burst))
    expected[:, TIME_NS] = headers[:, TIME_NS]
    expected[:, TALLY] = _as_bytes(np.array(burst.tallies(), np.uint64))
    if not np.array_equal(headers, expected):
        return None
    try:
        for time_ns in (times_ns.min(), times_ns.max()):
            codec.check_times(int(time_ns), first.rate_hz, len(first.values))
    except WireError:
        return None
    return burst


def _seqs(burst: Burst) -> TimeArray:
    # The last message of a burst has been decoded, so that none passes the limit of seq.
    return burst.chunk.seq + burst.samples * np.arange(len(burst.times_ns), dtype=np.int64)


def _as_bytes(numbers: TimeArray | NDArray[np.uint64]) -> NDArray[np.uint8]:
    return numbers.astype(numbers.dtype.newbyteorder("<")).view(np.uint8).reshape(-1, 8)
