"""What a reader hears of all streams, brought in order without holes: kind by kind, run by run. Sans-IO."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from predictor.listen.publisher_clock import PublisherClock
from streamer.clock import Instant
from streamer.messages import Burst, Chunk, Gone, Info, Kind, Replay, Status
from streamer.ordering.events import Announcement, Event, Gap, Part
from streamer.ordering.reorder_buffer import MemoryBudget
from streamer.ordering.retry import RetryPolicy
from streamer.ordering.sequencer import Sequencer
from streamer.ordering.timers import TimerQueue

PROBE_NS = 1_000_000_000
MAX_STREAMS = 10_000  # followed; a sequencer takes some 2 kB


@dataclass(slots=True)
class _Followed:
    """One kind of a stream, and the clock of who publishes it."""

    sequencer: Sequencer
    clock: PublisherClock = field(default_factory=PublisherClock)
    asked: Replay | None = None
    asked_ns: int = 0
    paused: bool = False

    def asks(self, counted_ns: int, now_ns: int) -> Iterator[Replay]:
        """Yield what to ask for; of a silent publisher the same each second, in case it hears."""
        for replay in self.sequencer.asks(counted_ns):
            self.asked, self.asked_ns = replay, now_ns
            yield replay
        unanswered = self._unanswered
        if unanswered is not None and now_ns >= self.asked_ns + PROBE_NS and self.clock.is_silent(now_ns):
            self.asked_ns = now_ns
            yield unanswered

    @property
    def _unanswered(self) -> Replay | None:
        """What is left of the last request."""
        sequencer, last = self.sequencer, self.asked
        if last is None or last.run != sequencer.source_run or sequencer.due_ns() is None:
            return None
        seq, end = sequencer.next_seq, last.seq + last.samples
        return replace(last, seq=seq, samples=end - seq) if end > seq else None

    def due_ns(self, now_ns: int) -> int | None:
        """When to look: in silence only to ask again, and never while the publisher is behind."""
        counted_ns = self.sequencer.due_ns()
        if counted_ns is None or self.paused:
            return None
        due_ns = self.clock.reaches_ns(counted_ns)
        probes = due_ns is None and not self.clock.is_behind and self._unanswered is not None
        return max(now_ns + 1, self.asked_ns + PROBE_NS, self.clock.silent_ns) if probes else due_ns


class OrderedReader:
    """Follows every stream that is heard.

    Parameters
    ----------
    kinds : sequence of Kind
        Of samples: INPUT, TARGET, ESTIMATE.
    retry_policy : RetryPolicy
    """

    def __init__(self, kinds: Sequence[Kind], retry_policy: RetryPolicy) -> None:
        self.ignored = 0
        """Messages of streams beyond those followed."""
        self.renamed: list[tuple[str, int, int]] = []
        """Runs that are called otherwise from now on: stream, what was and what is the run."""
        self._kinds = set(kinds)
        self._retry_policy = retry_policy
        self._budget = MemoryBudget(retry_policy.hold_bytes)
        self._followed: dict[tuple[str, Kind], _Followed] = {}
        self._timers = TimerQueue()

    def take(self, message: Chunk | Info | Status | Gone, now: Instant) -> Iterator[tuple[str, Chunk | Gap]]:
        """Take a message; yield the samples that are next, and gaps between them, each with its stream's name."""
        now_ns = now.mono_ns
        self._hear_publisher(message, now_ns)
        if isinstance(message, Chunk) and message.kind is Kind.ESTIMATE:
            self._adopt(message)
        match message:
            case Chunk(kind=kind) if kind in self._kinds:
                followed = self._follow(message.stream, kind, now_ns)
                if followed is not None and not followed.paused:
                    sequencer, clock = followed.sequencer, followed.clock
                    if message.end_seq > sequencer.next_seq:
                        clock.fall_behind(now_ns, behind=False)
                    events = sequencer.receive(message, clock.counted_ns(now_ns))
                    yield from self._perform(followed, events, now_ns)
            case Gone(kind, stream) if (stream, kind) in self._followed:
                followed = self._followed[stream, kind]
                events = followed.sequencer.lose(message, followed.clock.counted_ns(now_ns))
                yield from self._perform(followed, events, now_ns)
            case Info():
                for kind, end in ((Kind.INPUT, message.next_seq), (Kind.TARGET, message.next_target_seq)):
                    word = Announcement(
                        message.run, (end,), message.time_ns, message.replays, repeats=message.repeats
                    )
                    yield from self._hear(message, kind, word, now_ns)
            case Status(stream, run, next_seq, time_ns, body) if stream and (run or next_seq):
                replays, repeats = (body.get(name) is True for name in ("replays", "repeats"))
                word = Announcement(run, (next_seq,), time_ns, replays, repeats=repeats)
                yield from self._hear(message, Kind.ESTIMATE, word, now_ns)

    def named(self, info: Info) -> Info:
        """Return an info with the run that estimates have."""
        followed = self._followed.get((info.stream, Kind.INPUT))
        word = Announcement(info.run, (info.next_seq,), info.time_ns, info.replays, repeats=info.repeats)
        name = info.run if followed is None else followed.sequencer.name_of(word)
        return info if name == info.run else replace(info, run=name)

    def _adopt(self, estimate: Chunk) -> None:
        """Call a run that started again as its estimates do: who begins to listen later cannot tell by itself."""
        for kind in (Kind.INPUT, Kind.TARGET):
            followed = self._followed.get((estimate.stream, kind))
            run = None if followed is None else followed.sequencer.run
            if followed is not None and run is not None and followed.sequencer.adopt(estimate.run):
                self.renamed.append((estimate.stream, run, estimate.run))

    def _hear_publisher(self, message: Chunk | Info | Status | Gone, now_ns: int) -> None:
        """Note that who publishes a stream is there: its source, of inputs and targets, or its predictor."""
        of_predictor = isinstance(message, Status) or (
            not isinstance(message, Info) and message.kind is Kind.ESTIMATE
        )
        for kind in (Kind.ESTIMATE,) if of_predictor else (Kind.INPUT, Kind.TARGET):
            followed = self._followed.get((message.stream, kind))
            if followed is not None:
                followed.clock.hear(now_ns, ended=message.ended if isinstance(message, Info) else None)
                self._wake(followed, now_ns)

    def _hear(
        self, message: Info | Status, kind: Kind, word: Announcement, now_ns: int
    ) -> Iterator[tuple[str, Chunk | Gap]]:
        if kind not in self._kinds:
            return
        followed = self._follow(message.stream, kind, now_ns)
        if followed is not None and not followed.paused:
            sequencer, clock = followed.sequencer, followed.clock
            yield from self._perform(followed, sequencer.hear(word, clock.counted_ns(now_ns)), now_ns)
            is_followed = sequencer.run == sequencer.name_of(word)
            is_behind = is_followed and sequencer.next_seq >= word.ends[0] and not _is_left(message)
            clock.fall_behind(now_ns, behind=is_behind)
            self._wake(followed, now_ns)

    def look(self, now: Instant) -> Iterator[tuple[str, Chunk | Gap] | Replay]:
        """Yield what to ask for now, and what is given up."""
        for name in self._timers.take(now.mono_ns):
            stream, word = name.split("/")
            followed = self._followed[stream, Kind[word]]
            counted_ns = followed.clock.counted_ns(now.mono_ns)
            yield from self._perform(followed, followed.sequencer.look(counted_ns), now.mono_ns)
            yield from followed.asks(counted_ns, now.mono_ns)
            self._wake(followed, now.mono_ns)

    def pause(self, stream: str, kind: Kind, now: Instant) -> None:
        """Take no more samples of a kind until `resume`: there is no room, and they can be asked for then."""
        followed = self._followed.get((stream, kind))
        if followed is not None and not followed.paused:
            followed.paused = True
            followed.clock.fall_behind(now.mono_ns, behind=True)

    def resume(self, stream: str, kinds: Iterable[Kind], now: Instant) -> None:
        """Take samples of these kinds again."""
        for kind in kinds:
            followed = self._followed.get((stream, kind))
            if followed is not None and followed.paused:
                followed.paused = False
                followed.clock.fall_behind(now.mono_ns, behind=False)
                self._wake(followed, now.mono_ns)

    def unfinished(self) -> Iterator[tuple[str, Kind, int]]:
        """Yield what is still waited for: stream, kind, and the first sample that is missing."""
        for (stream, kind), followed in self._followed.items():
            if followed.sequencer.due_ns() is not None:
                yield stream, kind, followed.sequencer.next_seq

    def next_ns(self) -> int | None:
        """When to call `look`."""
        return self._timers.next_ns()

    def _follow(self, stream: str, kind: Kind, now_ns: int) -> _Followed | None:
        followed = self._followed.get((stream, kind))
        if followed is None:
            if len(self._followed) >= MAX_STREAMS:
                self.ignored += 1
                return None
            followed = _Followed(Sequencer(stream, (kind,), self._retry_policy, self._budget))
            followed.clock.hear(now_ns)
            self._followed[stream, kind] = followed
        return followed

    def _perform(
        self, followed: _Followed, events: Iterator[Event], now_ns: int
    ) -> Iterator[tuple[str, Chunk | Gap]]:
        stream = followed.sequencer.stream
        for event in events:
            match event:
                case Part(message, skip):
                    for chunk in _chunks(message):
                        yield stream, _trimmed(chunk, skip)
                case Gap():
                    yield stream, event
        self._wake(followed, now_ns)

    def _wake(self, followed: _Followed, now_ns: int) -> None:
        due_ns = followed.due_ns(now_ns)
        if due_ns is not None:
            self._timers.set(f"{followed.sequencer.stream}/{followed.sequencer.kinds[0].name}", due_ns)


def _is_left(message: Info | Status) -> bool:
    """Return whether a predictor hears nothing of the stream any more: what it has not said may never come."""
    return isinstance(message, Status) and message.body.get("health") not in ("LIVE", "STALE")


def _chunks(message: Chunk | Burst) -> Iterator[Chunk]:
    return iter([message]) if isinstance(message, Chunk) else message.chunks()


def _trimmed(chunk: Chunk, skip: int) -> Chunk:
    if not skip:
        return chunk
    values = chunk.values[skip:]
    return replace(chunk, seq=chunk.seq + skip, time_ns=chunk.sample_time_ns(skip), values=values)
