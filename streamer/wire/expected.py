"""Messages of one sample of one channel, recognised and answered by their bytes.

After a pause a process runs out of cold caches, and what it does before an answer is out counts several times. So
what a stream's next message must be, and how its answer begins, is worked out before it comes.
"""

import struct
from collections.abc import Sequence

import numpy as np

from streamer.messages import NO_GAP, Burst, Chunk, FloatArray, Kind, TimeArray
from streamer.wire import codec

Parts = Sequence[bytes]

# Of a header: what stands before seq; the rate; and what comes last in an answer's.
_FORM_AND_RUN, _RATE, _ENDING = struct.Struct("<4sBBHIIQ"), struct.Struct("<d"), struct.Struct("<QQ")
_MAX_TALLY = 2**64 - 1


class ExpectedMessage:
    """Knows the input that comes next in a stream, and how its answer begins.

    Parameters
    ----------
    stream : str
    run, seq : int
        Of the next sample; seq below `wire.MAX_SEQ`.
    rate_hz : float
        Sound.
    most_tally : int
        That an input may have.
    fields, model_version : int
        Of the estimates.
    tally : int
        Of the next estimate.
    """

    __slots__ = (
        "_answer_ending", "_answer_form", "_answer_start", "_any_tally", "_form", "_most_tally", "_rate", "_start",
        "_tally", "_topic", "_version", "seq",
    )  # fmt: skip

    def __init__(
        self, stream: str, run: int, seq: int, rate_hz: float, most_tally: int, fields: int, model_version: int,
        tally: int,
    ) -> None:  # fmt: skip
        self._form = _FORM_AND_RUN.pack(codec.MAGIC, codec.VERSION, Kind.INPUT, 1, 1, 1, run)
        self._rate = _RATE.pack(rate_hz)
        self._most_tally, self._any_tally = most_tally, most_tally >= _MAX_TALLY
        self._topic = codec.topic(Kind.ESTIMATE, stream)
        self._answer_form = _FORM_AND_RUN.pack(codec.MAGIC, codec.VERSION, Kind.ESTIMATE, fields, 1, 1, run)
        self._version = model_version
        self._expect(seq, tally)

    def _expect(self, seq: int, tally: int) -> None:
        seq_bytes = seq.to_bytes(8, "little")
        self.seq, self._tally = seq, tally
        self._start, self._answer_start = self._form + seq_bytes, self._answer_form + seq_bytes
        self._answer_ending = _ENDING.pack(self._version, tally)

    def advance(self) -> bool:
        """Go on to the next sample; return whether there can be one."""
        self._expect(self.seq + 1, self._tally if self._tally == NO_GAP else self._tally + 1)
        return self.seq < codec.MAX_SEQ

    def expects(self, parts: Parts) -> bool:
        """Whether a message with the stream's topic, in three parts, is the one that comes next, and sound.

        Its value is then finite and below 2^99. Any other message needs a closer look.
        """
        # Slices and no calls: after a pause, that takes a third of the time.
        _, header, payload = parts
        return (
            header[:32] == self._start
            and header[40:48] == self._rate
            and len(header) == 64
            and len(payload) == 4
            and header[39] < 0x40  # the last byte of a time before 2116: sound, however long a sample lasts
            and payload[3] & 0x7F < 0x71  # a float32's sign and most of its exponent
            and (self._any_tally or int.from_bytes(header[56:], "little") <= self._most_tally)
        )

    def answer(self, header: bytes, said: bytes) -> tuple[bytes, bytes, bytes]:
        """Return the answer to the message that comes next, given its header and the payload of its estimate."""
        return self._topic, self._answer_start + header[32:48] + self._answer_ending, said  # with time and rate


def decode(topic: bytes, headers: Sequence[bytes], payloads: Sequence[bytes]) -> Chunk | Burst:
    """Return messages that were expected one after another as one; their tallies are the first one's."""
    first = codec.decode((topic, headers[0], payloads[0]))
    assert isinstance(first, Chunk)
    if len(headers) == 1:
        return first
    times_ns: TimeArray = np.frombuffer(b"".join(headers), "<i8").reshape(len(headers), -1)[:, 4].copy()
    values: FloatArray = np.frombuffer(b"".join(payloads), "<f4").reshape(-1, 1, 1)
    # Not by `replace`, which takes several times as long.
    chunk = Chunk(
        first.kind, first.stream, first.run, first.seq, first.time_ns, first.rate_hz, values, first.model_version,
        first.tally,
    )  # fmt: skip
    return Burst(chunk, times_ns)
