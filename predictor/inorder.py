"""What a reader hears of all streams, brought in order without holes: kind by kind, run by run. Sans-IO."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from streamer.alarms import Alarms
from streamer.clock import Instant
from streamer.events import Event, Gap, Part, Word
from streamer.holding import Budget
from streamer.messages import Burst, Chunk, Gone, Info, Kind, Replay, Status
from streamer.patience import Patience
from streamer.sequencer import Sequencer

MAX_STREAMS = 10_000  # followed; a sequencer takes some 2 kB


class InOrder:
    """Follows every stream that is heard.

    Parameters
    ----------
    kinds : sequence of Kind
        Of samples: INPUT, TARGET, ESTIMATE.
    patience : Patience
    """

    def __init__(self, kinds: Sequence[Kind], patience: Patience) -> None:
        self.ignored = 0
        """Messages of streams beyond those followed."""
        self._kinds = set(kinds)
        self._patience = patience
        self._budget = Budget(patience.hold_bytes)
        self._sequencers: dict[tuple[str, Kind], Sequencer] = {}
        self._alarms = Alarms()

    def take(self, message: Chunk | Info | Status | Gone, now: Instant) -> Iterator[tuple[str, Chunk | Gap]]:
        """Take a message; yield the samples that are next, and gaps between them, each with its stream's name."""
        match message:
            case Chunk(kind=kind) if kind in self._kinds:
                sequencer = self._sequencer(message.stream, kind)
                if sequencer is not None:
                    yield from self._follow(sequencer, sequencer.receive(message, now.mono_ns))
            case Gone(kind, stream) if (stream, kind) in self._sequencers:
                sequencer = self._sequencers[stream, kind]
                yield from self._follow(sequencer, sequencer.lose(message, now.mono_ns))
            case Info():
                for kind, end in ((Kind.INPUT, message.next_seq), (Kind.TARGET, message.next_target_seq)):
                    yield from self._hear(message, kind, end, replays=message.replays, now=now)
            case Status(stream, run, next_seq) if stream and (run or next_seq):
                replays = message.body.get("replays") is True
                yield from self._hear(message, Kind.ESTIMATE, next_seq, replays=replays, now=now)

    def _hear(
        self, message: Info | Status, kind: Kind, end: int, *, replays: bool, now: Instant
    ) -> Iterator[tuple[str, Chunk | Gap]]:
        if kind not in self._kinds:
            return
        sequencer = self._sequencer(message.stream, kind)
        if sequencer is not None:
            word = Word(message.run, (end,), message.time_ns, replays)
            yield from self._follow(sequencer, sequencer.hear(word, now.mono_ns))

    def look(self, now: Instant) -> Iterator[tuple[str, Chunk | Gap] | Replay]:
        """Yield what to ask for now, and what is given up."""
        for name in self._alarms.take(now.mono_ns):
            stream, word = name.split("/")
            sequencer = self._sequencers[stream, Kind[word]]
            yield from self._follow(sequencer, sequencer.look(now.mono_ns))
            yield from sequencer.asks(now.mono_ns)
            self._wake(sequencer)

    def next_ns(self) -> int | None:
        """When to call `look`."""
        return self._alarms.next_ns()

    def _sequencer(self, stream: str, kind: Kind) -> Sequencer | None:
        sequencer = self._sequencers.get((stream, kind))
        if sequencer is None:
            if len(self._sequencers) >= MAX_STREAMS:
                self.ignored += 1
                return None
            sequencer = Sequencer(stream, (kind,), self._patience, self._budget)
            self._sequencers[stream, kind] = sequencer
        return sequencer

    def _follow(self, sequencer: Sequencer, events: Iterator[Event]) -> Iterator[tuple[str, Chunk | Gap]]:
        for event in events:
            match event:
                case Part(message, skip):
                    for chunk in _chunks(message):
                        yield sequencer.stream, _trimmed(chunk, skip)
                case Gap():
                    yield sequencer.stream, event
        self._wake(sequencer)

    def _wake(self, sequencer: Sequencer) -> None:
        due_ns = sequencer.due_ns()
        if due_ns is not None:
            self._alarms.set(f"{sequencer.stream}/{sequencer.kinds[0].name}", due_ns)


def _chunks(message: Chunk | Burst) -> Iterator[Chunk]:
    return iter([message]) if isinstance(message, Chunk) else message.chunks()


def _trimmed(chunk: Chunk, skip: int) -> Chunk:
    if not skip:
        return chunk
    values = chunk.values[skip:]
    return replace(chunk, seq=chunk.seq + skip, time_ns=chunk.sample_time_ns(skip), values=values)
