"""Core of `sincos.listen`: messages of predictors in, estimates in order out. Sans-IO."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from predictor.listen.reorder import MAX_STREAMS, OrderedReader
from streamer.clock import Instant
from streamer.effects import WARNING, Say
from streamer.errors import UsageError
from streamer.messages import Chunk, Gone, Incoming, Kind, Rejected, Replay, Status
from streamer.ordering.events import Gap
from streamer.ordering.retry import RetryPolicy
from streamer.wire import codec

ENDED = "ENDED"  # health of a stream whose source has ended, and whose samples are all estimated


@dataclass(slots=True)
class _Place:
    """Where a stream is: its run, and the sample that comes next."""

    run: int
    next_seq: int
    missing: int = 0  # before that


class EstimateReader:
    """Brings the estimates of one stream, or of all, in order.

    Parameters
    ----------
    stream : str or None
        Only this one.
    retry_policy : RetryPolicy or None
        What is done about missing estimates; None to ask for none.
    follow : bool
        Go on once the stream's run has ended.

    Attributes
    ----------
    ready : deque of (Chunk, int)
        Estimates that nobody has taken yet, each with how many are missing before it.
    missing : int
        Estimates that could not be had.
    ended : bool
        Nothing follows: the run of the one stream has ended, and its estimates are all in `ready`.

    Raises
    ------
    UsageError
        If it is no name of a stream.
    """

    def __init__(self, stream: str | None, retry_policy: RetryPolicy | None, *, follow: bool) -> None:
        if stream is not None and not codec.STREAM_NAME.fullmatch(stream):
            raise UsageError(f"stream: {codec.STREAM_RULE}, got {stream!r}")
        self.ready: deque[tuple[Chunk, int]] = deque()
        self.missing = 0
        self.ended = False
        self._stream = stream
        self._follow = follow or stream is None
        self._in_order = OrderedReader((Kind.ESTIMATE,), retry_policy) if retry_policy is not None else None
        self._places: dict[str, _Place] = {}
        self._end: tuple[int, int] | None = None  # run and end of what has ended
        self._rejected = False

    @property
    def topics(self) -> tuple[bytes, bytes]:
        """What to subscribe to."""
        return codec.topic(Kind.STATUS, self._stream or ""), codec.topic(Kind.ESTIMATE, self._stream or "")

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterator[Say | Replay]:
        """Take messages; yield what to ask for, and what the operator should know."""
        for message in messages:
            match message:
                case Rejected(reason):
                    if not self._rejected:
                        yield Say(f"a malformed message was ignored: {reason}", WARNING)
                    self._rejected = True
                case Chunk(kind=Kind.ESTIMATE) | Status() | Gone(kind=Kind.ESTIMATE):
                    if self._stream in (None, message.stream):
                        yield from self._take(message, now)
        yield from self.look(now)

    def look(self, now: Instant) -> Iterator[Say | Replay]:
        """Ask again for what is missing, or give it up."""
        for wanted in self._in_order.look(now) if self._in_order is not None else ():
            if isinstance(wanted, Replay):
                yield wanted
            else:
                yield from self._deliver(*wanted)
        self._see_whether_it_ended()

    def next_ns(self) -> int | None:
        """When to call `look`."""
        return self._in_order.next_ns() if self._in_order is not None else None

    def _take(self, message: Chunk | Status | Gone, now: Instant) -> Iterator[Say | Replay]:
        if isinstance(message, Status) and message.stream and message.body.get("health") == ENDED:
            self._end = message.run, message.next_seq
        if self._in_order is None:
            if isinstance(message, Chunk):
                yield from self._deliver(message.stream, message)
            return
        for stream, event in self._in_order.take(message, now):
            yield from self._deliver(stream, event)

    def _deliver(self, stream: str, event: Chunk | Gap) -> Iterator[Say]:
        place = self._places.get(stream)
        if place is None or place.run != event.run:
            if place is None and len(self._places) >= MAX_STREAMS:
                del self._places[next(iter(self._places))]
            place = self._places[stream] = _Place(event.run, 0 if self._in_order is not None else event.seq)
        if isinstance(event, Gap):
            yield from self._lose(stream, place, event.seq + event.samples)
            return
        if event.end_seq <= place.next_seq:
            return  # twice
        yield from self._lose(stream, place, event.seq)
        self.ready.append((event, place.missing))
        place.next_seq, place.missing = event.end_seq, 0

    def _lose(self, stream: str, place: _Place, end: int) -> Iterator[Say]:
        """Note that samples up to `end` cannot be had."""
        samples = end - place.next_seq
        if samples > 0:
            yield Say(f"stream {stream}: no estimates of samples {place.next_seq} to {end - 1}", WARNING)
            self.missing += samples
            place.missing += samples
            place.next_seq = end

    def _see_whether_it_ended(self) -> None:
        if self._follow or self._end is None or self._stream is None:
            return
        run, end = self._end
        place = self._places.get(self._stream)
        reliable = self._in_order is not None
        at = place.next_seq if place is not None and place.run == run else 0
        self.ended = not reliable or at >= end
