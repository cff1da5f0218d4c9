"""What the order of a stream's samples brings: samples that are next, gaps, runs."""

from dataclasses import dataclass, field

from streamer.messages import Burst, Chunk, Kind
from streamer.ordering.decisions import GapDecision


@dataclass(frozen=True, slots=True)
class NewRun:
    """What follows belongs to another run.

    Parameters
    ----------
    run : int
    left_run : int or None
        The one before it.
    left_place : tuple of int
        How far that was followed: its next input and its next target.
    again : bool
        It was followed before, and goes on where it was left.
    """

    run: int
    left_run: int | None = field(default=None, compare=False)
    left_place: tuple[int, int] = field(default=(0, 0), compare=False)
    again: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class StartedAgain:
    """A source numbers new samples of a run as it did old ones, from `seq` on: they are followed as another run.

    Parameters
    ----------
    run : int
        As the source says it.
    seq : int
        The first sample that was heard.
    name : int
        The run that they are followed as.
    """

    run: int
    seq: int
    name: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """Samples of a run came again, many in a row, and nothing tells whether they are new: they are dropped.

    Parameters
    ----------
    run : int
    seq : int
        The first of them.
    next_seq : int
        The first sample that is not dropped.
    """

    run: int
    seq: int
    next_seq: int


@dataclass(frozen=True, slots=True)
class Rivals:
    """Two sources say the stream: the run that is followed goes on, and so does another."""

    followed: int
    other: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that did not come and will not.

    Parameters
    ----------
    kind : Kind
    run, seq, samples : int
    other_seq : int
        The next sample of the other kind; 0 where only one is followed.
    decided : GapDecision or None
        Where a former life gave them up.
    """

    kind: Kind
    run: int
    seq: int
    samples: int
    other_seq: int = field(default=0, compare=False)
    decided: GapDecision | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What comes next: the samples of a message, without the first `skip`.

    `live` is False where they came after later ones had been heard of: sent again, as a rule.
    """

    message: Chunk | Burst
    skip: int = 0
    live: bool = True


Event = NewRun | Gap | Part | Repeated | Rivals | StartedAgain


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is said of a run: how far it is in each kind followed, and whether samples can be had again.

    `ended` says that nothing follows, `repeats` that a number used again names the same sample.
    """

    run: int
    ends: tuple[int, ...]
    time_ns: int
    replays: bool
    ended: bool = False
    repeats: bool = False
