"""Headers as docs/reference/protocol.md has them, read and written without the product's own code."""

import struct
from dataclasses import dataclass

HEADER = struct.Struct("<4sBBHIIQQqdQQ")
VERSION = 2
INPUT, TARGET, ESTIMATE, INFO, STATUS, REPLAY, GONE = range(1, 8)
WORDS = {
    INPUT: "input", TARGET: "target", ESTIMATE: "estimate", INFO: "info", STATUS: "status", REPLAY: "replay",
    GONE: "gone",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """What a message is of, and how many samples it has."""

    kind: int
    fields: int
    samples: int
    channels: int
    run: int
    seq: int
    time_ns: int
    model_version: int
    tally: int

    @property
    def end_seq(self) -> int:
        """One past the last sample."""
        return self.seq + self.samples


def head(header: bytes) -> Head:
    """Return what a header says."""
    _, _, kind, fields, samples, channels, run, seq, time_ns, _, model_version, tally = HEADER.unpack(header)
    return Head(kind, fields, samples, channels, run, seq, time_ns, model_version, tally)


def message(
    kind: int, stream: str, run: int, seq: int, payload: bytes, *, fields: int = 1, samples: int = 1,
    channels: int = 1, time_ns: int = 0, rate_hz: float = 0.0, version: int = VERSION, tally: int = 0,
) -> list[bytes]:  # fmt: skip
    """Return the parts of a message."""
    header = HEADER.pack(b"SNCS", version, kind, fields, samples, channels, run, seq, time_ns, rate_hz, 0, tally)
    return [f"{WORDS[kind]}/{stream}/".encode(), header, payload]


def request(kind: int, stream: str, run: int, seq: int, samples: int) -> list[bytes]:
    """Return the parts that ask for samples again."""
    return message(REPLAY, stream, run, seq, b"", fields=kind, samples=samples, channels=0)
