"""What the order of a stream's samples brings: samples that are next, gaps, runs."""

from dataclasses import dataclass

from streamer.messages import Burst, Chunk, Kind


@dataclass(frozen=True, slots=True)
class NewRun:
    """What follows belongs to another run."""

    run: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that did not come and will not."""

    kind: Kind
    run: int
    seq: int
    samples: int


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What comes next: the samples of a message, without the first `skip`.

    `live` is False where they came after later ones had been heard of: sent again, as a rule.
    """

    message: Chunk | Burst
    skip: int = 0
    live: bool = True


Event = NewRun | Gap | Part


@dataclass(frozen=True, slots=True)
class Word:
    """What is said of a run: how far it is in each kind followed, and whether samples can be had again."""

    run: int
    ends: tuple[int, ...]
    time_ns: int
    replays: bool
