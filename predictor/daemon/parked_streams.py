"""Streams whose state is on disk while others have their place in memory. Pure logic.

in memory  --park-->  being written  --written-->  on disk only  --fetch-->  being read  --fetched-->  in memory

A stream that is being written is still in memory, so it goes on if it is heard; its file is then out of date, and
removed once a checkpoint has the stream. What a stream says while its state is being read waits here.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from predictor.daemon.round_robin import Heard
from predictor.daemon.stream import Stream
from predictor.state.checkpoint import pack
from predictor.state.parked_files import key_of
from streamer.effects import Discard, Effect, Fetch, Park
from streamer.messages import Burst, Chunk, Fetched, Parked
from streamer.ordering.reorder_buffer import MESSAGE_BYTES, cost_bytes
from trainer.state import Tree

MAX_PARKED = 10_000
MAX_LEAVING = 256  # being written at once: so many streams more than there may be
MAX_WAITING_BYTES = 16 * 2**20  # of what streams say whose states are being read
BRIEF_SAMPLES = 100
LOOK_EVERY_NS = 2_000_000


@dataclass(slots=True)
class _Waiting:
    messages: deque[Heard] = field(default_factory=deque)
    bytes: int = 0


class ParkedStreams:
    """Knows which streams are parked, and decides which go for good where that is too much.

    Parameters
    ----------
    limit_bytes : int
        Of all files. The oldest goes, first of those of fewer than `BRIEF_SAMPLES` samples: whoever makes up names
        does not drive out who has something to lose.
    """

    def __init__(self, limit_bytes: int, most: int = MAX_PARKED) -> None:
        self._limit_bytes = limit_bytes
        self._most = most
        self._brief: OrderedDict[str, int] = OrderedDict()  # key -> bytes; the oldest first
        self._lasting: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        self._leaving: dict[str, tuple[Stream, tuple[object, ...], bool]] = {}
        self._arriving: dict[str, _Waiting] = {}
        self._waiting_bytes = 0
        self._outdated: dict[str, str] = {}  # key -> stream that is in memory, and whose file is older
        self._covered: list[str] = []  # those of them that the checkpoint has that is being written
        self.parked = self.returned = self.dropped = self.failures = 0
        self.last_error: str | None = None
        self.overflowed = 0  # messages

    def adopt(self, index: Iterable[tuple[str, int, bool]], in_memory: Iterable[str]) -> Iterator[Effect]:
        """Begin with the files that a former life left; some of them of streams that are in memory."""
        for key, size, brief in index:
            self._add(key, size, brief=brief)
        for stream in in_memory:
            if key_of(stream) in self:
                self._outdated[key_of(stream)] = stream
        yield from self._bound()

    def __contains__(self, key: str) -> bool:
        return key in self._lasting or key in self._brief

    @property
    def busy(self) -> bool:
        """Whether something is being written or read."""
        return bool(self._leaving or self._arriving)

    @property
    def full(self) -> bool:
        """Whether so many are being written that no other may be."""
        return len(self._leaving) >= MAX_LEAVING

    @property
    def balance(self) -> int:
        """How many more streams there will be in memory once all that is being read and written has been."""
        return len(self._arriving) - len(self._leaving)

    def is_leaving(self, name: str) -> bool:
        """Return whether a stream is being written."""
        return name in self._leaving

    # Out of memory

    def park(self, stream: Stream, identity: Tree) -> Park | None:
        """Return what writes a stream's state; None if it has none."""
        tree = stream.snapshot()
        if tree is None:
            return None
        brief = stream.counters.samples < BRIEF_SAMPLES
        self._leaving[stream.name] = stream, _stand(stream), brief
        return Park(stream.name, {"identity": identity}, pack(tree, stream.name), brief)

    def stay(self) -> None:
        """Have all that are being written stay in memory: the model is another now."""
        self._leaving = {name: (stream, (), brief) for name, (stream, _, brief) in self._leaving.items()}

    def written(self, parked: Parked) -> Stream | None:
        """Take note that a state is on disk, or not; return the stream if it is to go: nothing was heard of it."""
        left = self._leaving.pop(parked.stream, None)
        if left is None:
            return None
        stream, stand, brief = left
        key = key_of(parked.stream)
        if parked.error is None:
            self._remove(key)
            self._add(key, parked.size, brief=brief)
        else:
            self.failures += 1
            self.last_error = parked.error
        if _stand(stream) != stand or stream.at_work:
            if parked.error is None:
                self._outdated[key] = parked.stream
            return None
        self._outdated.pop(key, None)
        self.parked += parked.error is None
        return stream

    def abandon(self, name: str) -> None:
        """Take note that a stream is gone for another reason."""
        self._leaving.pop(name, None)

    # Into memory

    def fetch(self, stream: str, message: Heard) -> Fetch:
        """Return what reads the state of a stream that is heard again, and keep what it said until then."""
        self._arriving[stream] = _Waiting()
        self.hold(stream, message)
        return Fetch(stream)

    def hold(self, stream: str, message: Heard) -> bool:
        """Keep what a stream says while its state is being read; return False if it is not."""
        waiting = self._arriving.get(stream)
        if waiting is None:
            return False
        cost = cost_bytes(message) if isinstance(message, Chunk | Burst) else MESSAGE_BYTES
        if self._waiting_bytes + cost > MAX_WAITING_BYTES:
            self.overflowed += 1  # asked for again
            return True
        waiting.messages.append(message)
        waiting.bytes += cost
        self._waiting_bytes += cost
        return True

    def fetched(self, fetched: Fetched, *, usable: bool, why: str | None) -> Iterable[Heard]:
        """Take note that a stream is in memory again, by its state if that was usable; return what it said."""
        waiting = self._arriving.pop(fetched.stream, None) or _Waiting()
        self._waiting_bytes -= waiting.bytes
        key = key_of(fetched.stream)
        if usable:
            self.returned += 1
            self._outdated[key] = fetched.stream
        else:
            self._remove(key)
            self.failures += 1
            self.last_error = why
        return waiting.messages

    # Files that are not needed any longer

    def cover(self, streams: Iterable[str]) -> None:
        """Take note of the streams that the checkpoint has that is being written now."""
        if self._outdated:
            self._covered = [key for name in streams if (key := key_of(name)) in self._outdated]

    def covered(self) -> Iterator[Effect]:
        """Remove the files of streams that a checkpoint has which is on disk."""
        keys = [key for key in self._covered if self._outdated.get(key, "") not in ("", *self._leaving)]
        self._covered = []
        yield from self._discard(keys)

    def discard(self, stream: str) -> Iterator[Effect]:
        """Remove the file of a stream that begins anew."""
        yield from self._discard([key_of(stream)])

    def _discard(self, keys: Iterable[str]) -> Iterator[Effect]:
        there = [key for key in keys if key in self]
        for key in there:
            self._remove(key)
        if there:
            yield Discard(tuple(there))

    def bound(self) -> Iterator[Effect]:
        """Have the oldest go where there are too many, or too many bytes."""
        yield from self._bound()

    def _bound(self) -> Iterator[Effect]:
        if not self._is_too_much:
            return
        busy = {key_of(name) for name in chain(self._arriving, self._leaving)}
        keys: list[str] = []
        while self._is_too_much:
            oldest = chain(self._brief, self._lasting)
            key = next((key for key in oldest if key not in busy and key not in self._outdated), None)
            key = key or next((key for key in self._outdated if key not in busy), None)
            if key is None:
                break
            self.dropped += key not in self._outdated
            self._remove(key)
            keys.append(key)
        if keys:
            yield Discard(tuple(keys))

    @property
    def _is_too_much(self) -> bool:
        return len(self._brief) + len(self._lasting) > self._most or self._bytes > self._limit_bytes

    def _add(self, key: str, size: int, *, brief: bool) -> None:
        (self._brief if brief else self._lasting)[key] = size
        self._bytes += size

    def _remove(self, key: str) -> None:
        self._bytes -= self._brief.pop(key, 0) + self._lasting.pop(key, 0)
        self._outdated.pop(key, None)

    def status(self) -> dict[str, Any]:
        """Return the member `parked` of the daemon's status."""
        return {
            "streams": len(self._brief) + len(self._lasting) - len(self._outdated),
            "bytes": self._bytes,
            "parked": self.parked,
            "returned": self.returned,
            "dropped": self.dropped,
            "failures": self.failures,
            "last_error": self.last_error,
        }


def _stand(stream: Stream) -> tuple[object, ...]:
    return stream.heard_ns(), *stream.stand
