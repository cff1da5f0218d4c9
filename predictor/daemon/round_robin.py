"""Streams that have more to do than others should wait for: each in turn does a slice of it. Pure logic."""

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from predictor.daemon.stream import Stream
from streamer.clock import Instant
from streamer.effects import Effect, Pause
from streamer.messages import Burst, Chunk, Gone, Info
from streamer.ordering.reorder_buffer import MESSAGE_BYTES, cost_bytes

QUEUE_BYTES = 64 * 2**20  # of messages that wait for streams at work; what comes beyond that is dropped
ENOUGH = 8  # a part of it: more is not read as long as nobody else speaks, so that a source that can wait does
MAX_MESSAGES = 500  # of a stream in a turn: 10 ms of those that bring no work
ALONE_NS = 60_000_000_000  # after which who was not heard is not waited for
READ_EVERY_NS = 500_000_000  # all the same, to hear whether anybody else speaks

Heard = Chunk | Burst | Info | Gone
Failed = Callable[[Stream], Iterator[Effect]]
Do = Callable[[Stream, Heard, Instant], Iterator[Effect]]


@dataclass(slots=True)
class _Left:
    """What a stream still has to do."""

    stream: Stream
    work: Iterator[Effect] = field(default_factory=lambda: iter(()))
    messages: deque[Heard] = field(default_factory=deque)
    waiting_bytes: int = 0


class RoundRobin:
    """Runs what streams do, a slice at a time, and keeps what they hear meanwhile.

    A stream's messages take effect in the order in which they came, as if each had been done at once.

    Parameters
    ----------
    do : callable
        Returns what a stream does about a message.
    done : callable
        Told of each stream that has done all it had to.
    failed : callable
        Returns what is to be done about a stream for which there was not enough memory.
    queue_bytes : int
        Of messages that wait.
    """

    def __init__(
        self, do: Do, done: Callable[[Stream], None], failed: Failed, queue_bytes: int = QUEUE_BYTES
    ) -> None:
        self._do = do
        self._done = done
        self._failed = failed
        self._queue_bytes = queue_bytes
        self._left: OrderedDict[str, _Left] = OrderedDict()  # whose turn is next stands first
        self.waiting_bytes = 0
        self.dropped = 0  # messages
        self._now_ns = self._read_ns = 0
        self._others_ns = -ALONE_NS  # when a stream was heard that had nothing left to do

    def __len__(self) -> int:
        return len(self._left)

    def __contains__(self, stream: str) -> bool:
        return stream in self._left

    def run(self, stream: Stream, work: Iterator[Effect], now: Instant) -> Iterator[Effect]:
        """Do the first slice of what a stream that has nothing left has to do now."""
        left = _Left(stream, work)
        stream.begin_turn(now)
        try:
            yield from self._slice(left)
        finally:
            self._keep(left)

    def queue(self, stream: Stream, message: Heard) -> None:
        """Keep a message until its stream has a turn; drop it where that takes more than what is still free."""
        left = self._left.setdefault(stream.name, _Left(stream))
        stream.at_work = True
        cost = _cost_bytes(message)
        if left.waiting_bytes + cost > self._queue_bytes - self.waiting_bytes:  # so there is always some left
            self.dropped += 1
            stream.overflow(message)
            return
        self.waiting_bytes += cost
        left.waiting_bytes += cost
        left.messages.append(message)

    def work(self, now: Instant) -> Iterator[Effect]:
        """Do a slice for the stream whose turn it is."""
        self._now_ns = now.mono_ns
        _, left = self._left.popitem(last=False)
        left.stream.begin_turn(now)
        try:
            yield from self._slice(left)
            for _ in range(MAX_MESSAGES):
                if left.stream.at_work or not left.messages:
                    break
                message = left.messages.popleft()
                cost = _cost_bytes(message)
                self.waiting_bytes -= cost
                left.waiting_bytes -= cost
                left.work = self._do(left.stream, message, now)
                yield from self._slice(left)
        finally:
            self._keep(left)

    def _slice(self, left: _Left) -> Iterator[Effect]:
        """Do what a stream has to, up to where it says that others are to get a turn."""
        paused = False
        try:
            for effect in left.work:
                if isinstance(effect, Pause):
                    paused = True
                    break
                yield effect
        except MemoryError:
            left.messages.clear()
            self.waiting_bytes -= left.waiting_bytes
            left.waiting_bytes = 0
            yield from self._failed(left.stream)
        finally:
            left.stream.at_work = paused
            if not paused:
                if isinstance(left.work, Generator):
                    left.work.close()  # where a signal ends it, it is to know which effect was the last
                left.work = iter(())

    def _keep(self, left: _Left) -> None:
        """Have a stream go on in its next turn, if it has anything left to do."""
        stream = left.stream
        if stream.at_work or left.messages:
            stream.at_work = True
            self._left[stream.name] = left
        else:
            self._done(stream)

    def forget(self, stream: str) -> None:
        """Let go of what a stream has left."""
        left = self._left.pop(stream, None)
        if left is not None:
            self.waiting_bytes -= left.waiting_bytes

    # What is read in

    def others(self, now: Instant) -> None:
        """Note that a stream was heard that had nothing left to do."""
        self._others_ns = now.mono_ns

    def full(self) -> bool:
        """Whether nothing more is to be read for now: what waits is enough, and nobody else has spoken lately."""
        if self.waiting_bytes <= self._queue_bytes // ENOUGH or self._now_ns - self._others_ns < ALONE_NS:
            return False
        if self._now_ns - self._read_ns >= READ_EVERY_NS:
            self._read_ns = self._now_ns
            return False
        return True


def _cost_bytes(message: Heard) -> int:
    return cost_bytes(message) if isinstance(message, Chunk | Burst) else MESSAGE_BYTES
