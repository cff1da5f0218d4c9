"""What is said between processes. Frozen values; how they become bytes is `wire`'s business."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
TimeArray = NDArray[np.int64]

FIELDS = ("cos", "sin")
"""Names of the fields of a target or estimate, by position: the quadrature, then the clean in-phase."""

NO_GAP = 2**64 - 1
"""Tally of an estimate whose run has had no gap so far."""


class Kind(enum.IntEnum):
    """What a message carries. The value is the byte on the wire, the lower-case name is the topic.

    The last two are never published: a process asks another for a `REPLAY`, which may answer `GONE`.
    """

    INPUT = 1
    TARGET = 2
    ESTIMATE = 3
    INFO = 4
    STATUS = 5
    REPLAY = 6
    GONE = 7

    __hash__ = int.__hash__  # Enum's own is a call in Python, and topics and runs are looked up by kind

    @property
    def word(self) -> str:
        """The kind as it is spelled in topics and on the command line."""
        return self.name.lower()


PUBLISHED = (Kind.INPUT, Kind.TARGET, Kind.ESTIMATE, Kind.INFO, Kind.STATUS)
"""The kinds that can be subscribed to."""


# Final and not frozen: of a frozen one, every member costs a call, in all half of what decoding a sample takes.
@dataclass(slots=True, eq=False)
class Chunk:
    """Consecutive samples of one run of a stream.

    Parameters
    ----------
    kind : Kind
        INPUT, TARGET or ESTIMATE.
    stream : str
        Name of the stream.
    run : int
        64-bit id of this start of the source; (stream, run, seq) names a sample for ever.
    seq : int
        Index of the first sample, from 0.
    time_ns : int
        Source time of the first sample, nanoseconds since the Unix epoch.
    rate_hz : float
        Nominal sample rate; 0 where it is not known.
    values : float32 array, shape (samples, channels, fields)
        Inputs have one field. Targets and estimates have those of `FIELDS`, in that order.
    model_version : int
        Of an estimate: learning updates in the weights that made it.
    tally : int
        Of an input: samples whose targets the source had said before it. Of a target: input samples said before
        it. Both together say in which order inputs and targets were said, however they come. Of an estimate:
        samples since the last gap before its first one, or `NO_GAP`.
    """

    kind: Final[Kind]
    stream: Final[str]
    run: Final[int]
    seq: Final[int]
    time_ns: Final[int]
    rate_hz: Final[float]
    values: Final[FloatArray]
    model_version: Final[int] = 0
    tally: Final[int] = 0

    @property
    def end_seq(self) -> int:
        """One past the index of the last sample."""
        return self.seq + len(self.values)

    def sample_time_ns(self, offset: int) -> int:
        """Source time of the sample `offset` places into the chunk."""
        return self.time_ns + (round(offset * 1e9 / self.rate_hz) if offset and self.rate_hz else 0)


@dataclass(frozen=True, slots=True, eq=False)
class Burst:
    """Equally long chunks of one run of a stream, one after another, that come or go together.

    Parameters
    ----------
    chunk : Chunk
        All of them as one.
    times_ns : int64 array, shape (chunks,)
        Source time of each one's first sample.
    tally_step : int
        Of inputs and targets: by how much each one's tally is above the last one's. Estimates' rise by their
        samples, unless there was no gap.
    """

    chunk: Chunk
    times_ns: TimeArray
    tally_step: int = 0

    @property
    def samples(self) -> int:
        """Samples in each chunk."""
        return len(self.chunk.values) // len(self.times_ns)

    def part(self, first: int, count: int) -> "Burst":
        """Return `count` of them from `first` on."""
        start, end = first * self.samples, (first + count) * self.samples
        times_ns = self.times_ns[first : first + count]
        chunk = replace(
            self.chunk, seq=self.chunk.seq + start, time_ns=int(times_ns[0]), values=self.chunk.values[start:end],
            tally=self.tallies()[first],
        )  # fmt: skip
        return Burst(chunk, times_ns, self.tally_step)

    def tallies(self) -> list[int]:
        """Return each one's tally."""
        step = self.tally_step
        if self.chunk.kind is Kind.ESTIMATE:
            step = 0 if self.chunk.tally == NO_GAP else self.samples
        return [self.chunk.tally + number * step for number in range(len(self.times_ns))]

    def chunks(self) -> Iterator[Chunk]:
        """Return them one by one."""
        samples = self.samples
        for number, (time_ns, tally) in enumerate(zip(self.times_ns.tolist(), self.tallies(), strict=True)):
            first = number * samples
            values = self.chunk.values[first : first + samples]
            yield replace(self.chunk, seq=self.chunk.seq + first, time_ns=time_ns, values=values, tally=tally)


@dataclass(frozen=True, slots=True)
class Info:
    """What a source says of its stream: at each subscription, every second, and at the end.

    `next_seq` is the index the next sample will have, so that a lost tail is noticed, and `next_target_seq` that
    of the next target. `target_fields` is empty where the source publishes no targets; `target_delay_samples` is
    how late they come. `replays` says whether it can be asked for samples again, `paced` whether it says its
    samples at the rate that it names, or as fast as they are taken. `repeats` says that under a number that it has
    used before comes the same sample again, also after a restart: it has a journal.
    """

    stream: str
    run: int
    next_seq: int
    time_ns: int
    rate_hz: float
    channels: tuple[str, ...]
    target_fields: tuple[str, ...] = ()
    target_delay_samples: int = 0
    ended: bool = False
    lateness_p99_s: float | None = None
    next_target_seq: int = 0
    replays: bool = False
    paced: bool = True
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """What a predictor says of one stream or, with an empty `stream`, of itself."""

    stream: str
    run: int
    next_seq: int
    time_ns: int
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replay:
    """The wish to hear samples again that have been said: `samples` of `kind` from `seq` on."""

    kind: Kind
    stream: str
    run: int
    seq: int
    samples: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The answer to a `Replay` for samples that cannot be said again, now or later."""

    kind: Kind
    stream: str
    run: int
    seq: int
    samples: int


@dataclass(frozen=True, slots=True)
class Request:
    """A `Replay` that came in, and whom to answer."""

    peer: bytes
    replay: Replay


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that came in and was not understood."""

    reason: str


@dataclass(frozen=True, slots=True)
class SlowReader:
    """A reader for whom too much waited: it was cut off, or lost a message."""

    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a `Checkpoint`: its number, or what was in the way."""

    number: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """Whether decisions and published ends can be written down, after that has changed or failed again.

    Parameters
    ----------
    failures : int
        So far.
    error : str or None
        What is in the way; None if nothing is.
    """

    failures: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """What became of a `Park`: the bytes of the file, or what was in the way."""

    stream: str
    size: int
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """What came of a `Fetch`: head and state, None where there is none or it cannot be used."""

    stream: str
    tree: Any = None
    error: str | None = None


Stored = Written | Recorded | Parked | Fetched
"""What comes back from the disk."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscriber of ours began (`active`) or ceased to listen to topics that start with `prefix`."""

    prefix: bytes
    active: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """Inputs have been answered at once, by their bytes: the core is to note it before anything else."""


ANSWERED = Answered()
"""The one there is."""

Message = Chunk | Info | Status
Incoming = Message | Burst | Gone | Request | Rejected | SlowReader | Subscription | Stored | Answered
