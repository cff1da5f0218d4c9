"""A run that its source starts again at old numbers: what is new of it gets another run id, made here. Pure logic.

A source must draw a new run at each start. One that does not says the same (run, seq) of other samples. That it
has started again shows in what no copy of an old message has:

    samples with old numbers    two in a row, with times later, or earlier, than those of all that were handed out;
                                of a source that answers requests, and an info as below: it might stamp them anew
    infos that say less than    two, later than all infos before, and between them just the samples that they tell
    was handed out              of, in two messages or more, whatever their times: 0, or those of the run before

One message alone may be damaged. From then on what comes of that run is told apart by its times, and where these
do not tell, all of it is new.

Whoever hears the first sample makes the same id, `restarted_run`: so predictor and readers agree on it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from streamer.messages import Burst, Chunk
from streamer.ordering.events import Announcement
from streamer.ordering.reorder_buffer import Share, cost_bytes

MAX_RESTARTS = 64  # remembered of a stream
LONGEST_NS = 7 * 86_400_000_000_000  # before it was first heard here, that a run may have started again
EARLIER_NS = 1_000_000_000  # by less, times may be because they jitter
MAX_HELD = 4_096  # messages until it is certain that the run has started again
_MASK = 2**64 - 1


def restarted_run(run: int, mark: int) -> int:
    """Return the id of a run that started again.

    Parameters
    ----------
    run : int
        As its source says it.
    mark : int
        The time of the first sample that was heard of it or, where times do not tell, how often it has started
        again. At least 1.
    """
    return run ^ _mixed(mark)


def mark_of(run: int, restarted: int) -> int:
    """Return the mark from which `restarted_run` makes the one of the other."""
    return _unmixed(run ^ restarted)


def _mixed(number: int) -> int:
    """Scatter a number over 64 bits, so that it can be had back (the finalizer of SplitMix64)."""
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def _unmixed(number: int) -> int:
    number = ((number ^ (number >> 31) ^ (number >> 62)) * 0x319642B2D24D8EC3) & _MASK
    number = ((number ^ (number >> 27) ^ (number >> 54)) * 0x96DE1B173F119089) & _MASK
    return number ^ (number >> 30) ^ (number >> 60)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a run has been handed out.

    Parameters
    ----------
    next_seq : int
    first_seq, first_ns : int
        The first sample, and its time.
    last_ns : int
        The time of the last sample. Times are 0 where they are not known.
    given_up : sequence of tuple of int
        Samples that were not handed out, from and to, as far as that is remembered.
    """

    next_seq: int
    first_seq: int = 0
    first_ns: int = 0
    last_ns: int = 0
    given_up: Sequence[tuple[int, int]] = ()

    def after(self, chunk: Chunk) -> "Place":
        """Return the place once a message has been handed out, too."""
        last_ns = chunk.time_ns
        if len(chunk.values) > 1 and chunk.rate_hz and last_ns:  # and half a sample, for times are rounded
            last_ns += round((len(chunk.values) - 0.5) * 1e9 / chunk.rate_hz)
        return replace(self, next_seq=max(self.next_seq, chunk.end_seq), last_ns=max(self.last_ns, last_ns))

    def is_new(self, chunk: Chunk) -> bool:
        """Whether a message with old numbers has a time that none of the old ones can have."""
        seq, time_ns = chunk.seq, chunk.time_ns
        if seq >= self.next_seq or not time_ns or not self.last_ns:
            return False
        if time_ns <= self.last_ns and (time_ns >= self.first_ns - EARLIER_NS or seq < self.first_seq):
            return False
        return not any(first <= seq < end for first, end in self.given_up)  # they may come late


@dataclass(slots=True)
class Restart:
    """A run after it has started again.

    Parameters
    ----------
    run, name : int
        As its source says it; as it is called here.
    seq, time_ns : int
        Of the first sample that was heard.
    former_seq, former_ns : int
        What was next in the run before, and when that ended.
    """

    run: int
    name: int
    seq: int
    time_ns: int
    former_seq: int
    former_ns: int
    told_ns: int = field(default=0, compare=False)
    """Time of the latest info of the run before."""
    _end: int = field(default=-1, init=False, compare=False)
    _first: tuple[int, int] = field(default=(0, 0), init=False, compare=False)
    _last: tuple[int, int] = field(default=(0, 0), init=False, compare=False)  # the latest, and the former run's
    _former: tuple[int, int] = field(default=(0, 0), init=False, compare=False)

    def __post_init__(self) -> None:
        self._first = self._last = self.seq, self.time_ns
        self._former = self.former_seq, self.former_ns

    @property
    def is_timed(self) -> bool:
        """Whether all of its times are later than those of the run before."""
        return self.time_ns > self.former_ns > 0

    @property
    def place(self) -> Place:
        """How far it has come."""
        return Place(self._end, *self._first, self._last[1])

    def has(self, chunk: Chunk) -> bool:
        """Whether a message is of it, and not of the run before."""
        seq, time_ns = chunk.seq, chunk.time_ns
        if not self.is_timed or not time_ns:
            return True
        if time_ns <= self.former_ns:
            return False
        if time_ns < self.time_ns:
            return seq < self.former_seq
        if seq < self.former_seq or seq == self._end or not chunk.rate_hz:
            return True
        # Both may speak at once: it is of the one in whose course it lies.
        if _distance_ns(chunk, self._last) <= _distance_ns(chunk, self._former):
            return True
        self._former = seq, time_ns
        return False

    def note(self, chunk: Chunk) -> None:
        """Take a message of it."""
        self._end = max(self._end, chunk.end_seq)
        if chunk.time_ns >= self._last[1]:
            self._last = chunk.seq, chunk.time_ns
        if chunk.seq < self._first[0]:
            self._first = chunk.seq, chunk.time_ns

    def row(self) -> list[int]:
        """Return it as plain numbers."""
        return [self.run, self.name, self.seq, self.time_ns, self.former_seq, self.former_ns]


def _distance_ns(chunk: Chunk, known: tuple[int, int]) -> float:
    seq, time_ns = known
    return abs(chunk.time_ns - time_ns - (chunk.seq - seq) * 1e9 / chunk.rate_hz)


@dataclass(slots=True)
class _Suspicion:
    """Messages that may be of a run that has started again."""

    run: int
    place: Place
    held: list[Chunk] = field(default_factory=list)
    held_bytes: int = 0
    certain: bool = False
    """Whether two samples in a row speak for it."""
    _ends: dict[int, tuple[int, int]] = field(default_factory=dict)  # kind -> end and time of the latest

    @property
    def is_new(self) -> bool:
        """Whether times tell that the samples are new."""
        return self.place.is_new(self.held[0])

    @property
    def is_later(self) -> bool:
        """Whether the samples are later than all of the run."""
        return self.held[0].time_ns > self.place.last_ns > 0

    def end_seq(self, chunk: Chunk) -> int:
        """One past the last sample of a message's kind that is held."""
        return self._ends.get(chunk.kind, (-1, 0))[0]

    def follows(self, chunk: Chunk) -> bool:
        """Whether a message is what comes next, said later."""
        end, time_ns = self._ends.get(chunk.kind, (-1, 0))
        return chunk.seq == end and (chunk.time_ns > time_ns or not chunk.time_ns)

    def belongs(self, chunk: Chunk) -> bool:
        """Whether a message that is not what comes next is of these."""
        if self.is_later:
            return chunk.time_ns >= self.held[0].time_ns and chunk.seq < self.place.next_seq
        return self.place.is_new(chunk) if self.is_new else chunk.seq < self.place.next_seq

    def hold(self, chunk: Chunk, share: Share) -> None:
        """Hold a message if there is room; what is dropped is missing then, and asked for."""
        end, time_ns = self._ends.get(chunk.kind, (-1, 0))
        self._ends[chunk.kind] = max(end, chunk.end_seq), max(time_ns, chunk.time_ns)
        cost = cost_bytes(chunk)
        budget = share.budget
        if not self.held or (len(self.held) < MAX_HELD and budget.used_bytes + cost <= budget.limit_bytes):
            self.held.append(chunk)
            self.held_bytes += cost
            share.take(cost)


@dataclass(slots=True)
class _Less:
    """Infos that say less of a run than was handed out, and what came in a row from the latest one on."""

    first: Announcement
    last: Announcement
    end: int
    messages: int = 0
    agree: bool = False
    """Whether between two of them came just what they tell of."""

    def note(self, chunk: Chunk) -> None:
        """Take a message of the run."""
        in_row = chunk.seq == self.end
        self.end, self.messages = (chunk.end_seq, self.messages + 1) if in_row else (-1, 0)

    def hear(self, word: Announcement) -> None:
        """Take another info."""
        self.agree = self.agree or (self.messages > 1 and word.ends[0] == self.end)
        self.last, self.end, self.messages = word, word.ends[0], 0


@dataclass(frozen=True, slots=True)
class Found:
    """A run that has started again: what is held of it, and the latest info of it."""

    restart: Restart
    chunks: Sequence[Chunk]
    word: Announcement | None


class Restarts:
    """Tells apart what sources say of one stream under a run id that they have used before.

    Parameters
    ----------
    share : Share
        What the stream holds of what all may hold.
    heeds_infos : bool
        Whether an info tells of a restart. A predictor that was restarted itself says less than before, too.
    """

    def __init__(self, share: Share, *, heeds_infos: bool = True) -> None:
        self._share = share
        self._heeds_infos = heeds_infos
        self._all: list[Restart] = []  # in the order in which they were found
        self._by_run: dict[int, list[Restart]] = {}
        self._suspicion: _Suspicion | None = None
        self._told_ns: dict[int, int] = {}  # run -> time of its latest info
        self._less: dict[int, _Less] = {}
        self._repeating: int | None = None  # the latest run whose source says again what it said under a number

    # What is known

    def __bool__(self) -> bool:
        return bool(self._all)

    def concerns(self, run: int) -> bool:
        """Whether messages of a run are to be looked at one by one."""
        suspicion = self._suspicion
        return run in self._by_run or run in self._less or (suspicion is not None and suspicion.run == run)

    def guards(self, run: int | None, next_seq: int) -> bool:
        """Whether a message that seems to come next in a run may be of that run after it has started again."""
        suspicion = self._suspicion
        if suspicion is not None and suspicion.run == run and suspicion.end_seq(suspicion.held[0]) == next_seq:
            return True
        return run in self._by_run or run in self._less

    def of(self, name: int | None) -> Restart | None:
        """Return the restart that a run is; None if it is none."""
        return next((one for one in reversed(self._all) if one.name == name), None)

    def said_as(self, name: int) -> int:
        """Return the run id that its source uses."""
        known = self.of(name)
        return name if known is None else known.run

    def repeats(self, run: int | None) -> bool:
        """Whether the source of a run says that a number used again names the same sample."""
        return run is not None and run == self._repeating

    def add(self, restarts: Iterable[Restart]) -> None:
        """Take note of restarts, each later than those known of its run."""
        for restart in restarts:
            if self.of(restart.name) is None:
                self._all.append(restart)
        del self._all[:-MAX_RESTARTS]
        self._by_run = {}
        for one in self._all:
            self._by_run.setdefault(one.run, []).append(one)

    def add_before(self, restarts: Iterable[Restart]) -> None:
        """Take note of restarts, each earlier than those known of its run."""
        later, self._all = self._all, []
        self.add([*restarts, *later])

    def adopt(self, name: int, called: int, place: Place) -> bool:
        """Call a run as others call it, if they do; return whether it is to be called so from now on.

        Parameters
        ----------
        name : int
            Of a run that others speak of.
        called : int
            What a run is called here.
        place : Place
            How far that one was handed out.
        """
        present = self.of(called)
        run = called if present is None else present.run
        since_ns = mark_of(run, name)
        if self.of(name) is not None or name == run or not since_ns <= place.first_ns < since_ns + LONGEST_NS:
            return False
        if present is None:
            former = (0, 0)  # whatever comes of it
        elif since_ns > present.former_ns:
            former = present.former_seq, present.former_ns
            self._all.remove(present)
        else:
            return False
        self.add([Restart(run, name, place.first_seq, since_ns, *former)])
        return True

    def rows(self) -> list[list[int]]:
        """Return what is known as plain numbers."""
        return [one.row() for one in self._all]

    # What comes in

    def name(self, chunk: Chunk) -> int:
        """Return what the run of a message is called."""
        for one in reversed(self._by_run.get(chunk.run, ())):
            if one.has(chunk):
                return one.name
        return chunk.run

    def name_of_word(self, word: Announcement) -> int:
        """Return what the run of an info is called."""
        for one in reversed(self._by_run.get(word.run, ())):
            if not word.time_ns or word.time_ns > one.told_ns:
                return one.name
        return word.run

    def suspects(self, message: Chunk | Burst, place: Place) -> bool:
        """Whether samples may be new although their numbers are old."""
        if isinstance(message, Chunk):
            return place.is_new(message)
        return message.chunk.seq < place.next_seq and any(map(place.is_new, message.chunks()))

    def take(
        self, chunk: Chunk, name: int, place: Place | None, *, is_main: bool, needs_info: bool
    ) -> Chunk | Found | None:
        """Take a message; return it under the name of its run, None while that is not certain, or a restart.

        Parameters
        ----------
        chunk : Chunk
        name : int
            What its run is called, as far as is known.
        place : Place or None
            How far that was handed out.
        is_main : bool
            Whether it is of the kind by which a restart is known.
        needs_info : bool
            Whether an info must tell of it, too.
        """
        if self.repeats(chunk.run):
            return self._named(chunk, name)
        suspicion, less = self._suspicion, self._less.get(chunk.run)
        if less is not None and is_main:
            less.note(chunk)
        if suspicion is None or suspicion.run != chunk.run:
            if not is_main or place is None or not (place.is_new(chunk) or self._is_told(chunk, place)):
                return self._named(chunk, name)
            self._drop_suspicion()
            suspicion = self._suspicion = _Suspicion(chunk.run, place)
        elif is_main and suspicion.follows(chunk):
            suspicion.certain = True
        elif not suspicion.belongs(chunk):
            return self._named(chunk, name)
        suspicion.hold(chunk, self._share)
        return self._confirmed(needs_info=needs_info)

    def hear(self, word: Announcement, place: Place | None, *, needs_info: bool) -> bool | Found:
        """Take an info of a run that was handed out up to `place`; return a restart, or whether to heed it."""
        if word.repeats:
            self._repeating = word.run
            self._less.pop(word.run, None)
            if self._suspicion is not None and self._suspicion.run == word.run:
                self._drop_suspicion()
            return True
        if not self._heeds_infos or place is None or word.time_ns <= self._told_ns.get(word.run, 0):
            return True
        self._told_ns.pop(word.run, None)
        self._told_ns[word.run] = word.time_ns
        while len(self._told_ns) > MAX_RESTARTS:
            del self._told_ns[next(iter(self._told_ns))]
        less = self._less.get(word.run)
        if word.ends[0] >= place.next_seq or word.time_ns <= place.last_ns:
            if less is not None:
                del self._less[word.run]
                if self._suspicion is not None and self._suspicion.run == word.run and not self._suspicion.is_new:
                    self._drop_suspicion()
            return True
        if less is None:
            self._less[word.run] = _Less(word, word, word.ends[0])
        else:
            less.hear(word)
        return self._confirmed(needs_info=needs_info) or False

    def clear(self) -> None:
        """Let go of what is held."""
        self._drop_suspicion()

    def _is_told(self, chunk: Chunk, place: Place) -> bool:
        """Whether an info tells that samples with old numbers may be new."""
        less = self._less.get(chunk.run)
        return less is not None and less.first.ends[0] <= chunk.seq < place.next_seq

    def _confirmed(self, *, needs_info: bool) -> Found | None:
        suspicion = self._suspicion
        if suspicion is None or not suspicion.certain:
            return None
        less = self._less.get(suspicion.run)
        if needs_info and less is None:
            return None
        if not suspicion.is_new and (less is None or not less.agree):
            return None
        self._less.pop(suspicion.run, None)
        first, place = suspicion.held[0], suspicion.place
        mark = first.time_ns if suspicion.is_new else len(self._by_run.get(first.run, ())) + 1
        former_ns = place.last_ns if suspicion.is_later else 0
        told_ns = self._told_ns.get(first.run, 0) if less is None else less.first.time_ns - 1
        restart = Restart(
            first.run, restarted_run(first.run, mark), first.seq, first.time_ns, place.next_seq, former_ns, told_ns
        )
        self.add([restart])
        chunks = [self._named(chunk, restart.name) for chunk in suspicion.held]
        self._drop_suspicion()
        word = None if less is None else replace(less.last, run=restart.name)
        return Found(restart, chunks, word)

    def _named(self, chunk: Chunk, name: int) -> Chunk:
        known = self.of(name)
        if known is not None:
            known.note(chunk)
        return chunk if name == chunk.run else replace(chunk, run=name)

    def _drop_suspicion(self) -> None:
        if self._suspicion is not None:
            self._share.take(-self._suspicion.held_bytes)
            self._suspicion = None
