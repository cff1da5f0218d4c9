"""Runs of a stream beside the one that is followed: those that may be next, and those that were left. Pure logic.

one message of another run      it is held, and nothing else happens
a second one, and the run that is followed says nothing new meanwhile, as when a source restarts
                                that run's end is asked for, then the other is taken up with all that was held
the run that is followed says something new
                                two sources of one name: it stays, and the other waits until it has ended, or
                                has been silent for `SILENT_NS`
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from streamer.messages import Burst, Chunk
from streamer.ordering.events import Announcement
from streamer.ordering.reorder_buffer import MESSAGE_BYTES, Share

SILENT_NS = 3_000_000_000  # after which a run is left even for one that speaks beside it, or claims to be older
BOTH_SPEAK_NS = 1_000_000_000  # so long, and they are two sources
MAX_CANDIDATES = 16
MAX_HELD = 4_096  # messages of one
REMEMBERED_RUNS = 256  # that were left: a position each

Message = Chunk | Burst | Announcement


@dataclass(slots=True)
class Position:
    """Where a run was left, and by its source's times, 0 where they are not known, when it began and ended."""

    next_seq: int
    next_target_seq: int
    channels: int
    first_seq: int = 0
    first_ns: int = 0
    last_ns: int = 0


@dataclass(slots=True)
class CandidateRun:
    """A run that speaks beside the one that is followed."""

    run: int
    first_ns: int
    first_time_ns: int
    heard_ns: int = 0
    witnesses: int = 0
    """Different messages of it, as far as that matters: two confirm that there is such a run."""
    contradicted: bool = False
    """Whether the run that is followed said something new after this one's first message."""
    contradicted_ns: int = 0
    rival: bool = False
    """Whether both go on speaking: nothing of it is held any longer."""
    chosen: bool = False
    """Whether it follows once the present run's end is known."""
    held: list[Message] = field(default_factory=list)
    held_bytes: int = 0
    _first: tuple[object, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether more than one message told of it."""
        return self.witnesses > 1

    @property
    def has_samples(self) -> bool:
        """Whether samples of it are held."""
        return self.held_bytes > 0

    def contradict(self, now_ns: int) -> None:
        """Note that the run that is followed goes on."""
        if not self.contradicted:
            self.contradicted, self.contradicted_ns = True, now_ns

    def hear(self, message: Message, now_ns: int) -> None:
        """Note a message of it."""
        self.heard_ns = now_ns
        if self.witnesses < 2:
            key = _key(message)
            if not self.witnesses:
                self._first = key
            several = isinstance(message, Burst) and len(message.times_ns) > 1
            self.witnesses += 2 if several else key != self._first or not self.witnesses


class CandidateRuns:
    """The runs that speak beside the one that is followed.

    Parameters
    ----------
    share : Share
        What the stream holds of what all may hold.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._by_run: dict[int, CandidateRun] = {}

    def __bool__(self) -> bool:
        return bool(self._by_run)

    def __iter__(self) -> Iterator[CandidateRun]:
        return iter(self._by_run.values())

    @property
    def rivals(self) -> bool:
        """Whether another source goes on speaking."""
        return any(contender.rival for contender in self)

    @property
    def undecided(self) -> bool:
        """Whether one may be the next run: what the present one says is to be looked at."""
        return any(not contender.contradicted for contender in self)

    def hear(self, message: Message, run: int, time_ns: int, now_ns: int) -> int:
        """Take a message of another run; return how many runs are given up that only single messages told of."""
        contender = self._by_run.get(run)
        dropped = 0
        if contender is None:
            if len(self._by_run) >= MAX_CANDIDATES:
                least = min(self, key=lambda other: (other.chosen, other.witnesses, other.heard_ns))
                self.drop(least)
                dropped = 1
            contender = self._by_run[run] = CandidateRun(run, now_ns, time_ns)
        contender.hear(message, now_ns)
        if not contender.rival:
            self._hold(contender, message)
        return dropped

    def _hold(self, contender: CandidateRun, message: Message) -> None:
        if isinstance(message, Announcement):
            if contender.held and isinstance(contender.held[-1], Announcement):
                contender.held.pop()
            contender.held.append(message)
            return
        if len(contender.held) >= MAX_HELD:
            return  # the newest are dropped: they can be asked for
        contender.held.append(message)
        self._take(contender, _cost_bytes(message))
        self._share.make_room()

    def _take(self, contender: CandidateRun, cost_bytes: int) -> None:
        contender.held_bytes += cost_bytes
        self._share.take(cost_bytes)

    @property
    def held_bytes(self) -> int:
        """Bytes that the samples held take."""
        return sum(contender.held_bytes for contender in self)

    def drop_newest(self) -> bool:
        """Drop the newest samples of the run of which most is held, but never all; return whether it could."""
        most = max(self, key=lambda contender: contender.held_bytes, default=None)
        if most is None:
            return False
        for place in reversed(range(len(most.held))):
            message = most.held[place]
            if not isinstance(message, Announcement):
                cost_bytes = _cost_bytes(message)
                if cost_bytes == most.held_bytes:
                    return False
                del most.held[place]
                self._take(most, -cost_bytes)
                return True
        return False

    def contradict(self, run: int, now_ns: int) -> None:
        """Have a run wait until the followed one is silent or has ended."""
        if not self._by_run[run].chosen:
            self._by_run[run].contradict(now_ns)

    def present_speaks(self, time_ns: int, now_ns: int) -> CandidateRun | None:
        """Note that the followed run said something; return a run that turns out to be another source's."""
        found = None
        for contender in self:
            timeless = time_ns <= 0 or contender.first_time_ns <= 0
            late = now_ns - contender.first_ns >= BOTH_SPEAK_NS
            if time_ns > contender.first_time_ns or (timeless and late):
                contender.contradict(now_ns)
                both = contender.heard_ns - contender.contradicted_ns >= BOTH_SPEAK_NS
                if contender.confirmed and both and not contender.rival:
                    self._release(contender)
                    contender.rival = True
                    found = contender
        return found

    def forget_silent(self, now_ns: int) -> int:
        """Drop runs that the followed one outlived; return how many of them only single messages told of."""
        silent = [
            one for one in self
            if one.contradicted and not one.chosen and now_ns - one.heard_ns >= SILENT_NS
            and (one.rival or not one.confirmed)  # what others said comes in its turn
        ]  # fmt: skip
        for one in silent:
            self.drop(one)
        return sum(not one.rival for one in silent)

    def drop(self, contender: CandidateRun) -> None:
        """Forget a run, with what is held of it."""
        self._release(contender)
        del self._by_run[contender.run]

    def take(self, contender: CandidateRun) -> list[Message]:
        """Return what is held of a run, which is none of these any longer."""
        held = contender.held
        contender.held = []
        self.drop(contender)
        return held

    def _release(self, contender: CandidateRun) -> None:
        self._take(contender, -contender.held_bytes)
        contender.held = []

    def clear(self) -> None:
        """Forget all of them."""
        for contender in list(self):
            self.drop(contender)


def _cost_bytes(message: Chunk | Burst) -> int:
    chunk, count = (message, 1) if isinstance(message, Chunk) else (message.chunk, len(message.times_ns))
    return MESSAGE_BYTES * count + chunk.values.nbytes


def _key(message: Message) -> tuple[object, ...]:
    """What tells a message from a copy of it."""
    if isinstance(message, Announcement):
        return message.ends, message.time_ns
    chunk = message if isinstance(message, Chunk) else message.chunk
    return chunk.kind, chunk.seq, chunk.time_ns
