"""Which run of a stream is shown: the present one, until it has ended or another one is answered in its place."""

from collections import deque
from collections.abc import Iterator

from streamer.messages import Chunk, Info, Kind

REMEMBERED_RUNS = 64
SILENT_S = 1.5  # a source's info comes each second
# Messages of another run are kept so long, and so many, until it is known whether it takes over.
WAITING_NS, MAX_WAITING = 500_000_000, 4096


class FollowedRun:
    """Follows one run of a stream.

    Another run takes over once the present one has ended or been silent for `SILENT_S`, or with its first
    estimate: then the predictor follows it. So neither one damaged message nor a second source of the same name
    makes the picture jump. A run that was left comes back in the same way, but not by its estimates, which may be
    leftovers.
    """

    def __init__(self) -> None:
        self.run: int | None = None
        self._heard_ns = 0
        self._silent_s = SILENT_S
        self._ended = False
        self._other: int | None = None
        self._waiting: deque[tuple[int, Chunk | Info]] = deque(maxlen=MAX_WAITING)  # with when they came
        self.beside: int | None = None
        """A run that speaks while the present one does."""
        self._left: deque[int] = deque(maxlen=REMEMBERED_RUNS)

    def take(self, message: Chunk | Info, mono_ns: int) -> list[Chunk | Info]:
        """Take a message; return those that are of the run followed now."""
        if self.run is None:
            self.run = message.run
        if message.run == self.run:
            self._note(message, mono_ns)
            return [message]
        if _is_estimate(message) and message.run in self._left:
            return []
        if message.run != self._other:
            self._other, self.beside = message.run, None
            self._waiting.clear()
        while self._waiting and mono_ns - self._waiting[0][0] > WAITING_NS + self._silent_s * 1e9:
            self._waiting.popleft()
        self._waiting.append((mono_ns, message))
        return list(self._take_over(mono_ns)) if self._gives_way(message, mono_ns) else []

    def _note(self, message: Chunk | Info, mono_ns: int) -> None:
        if _is_estimate(message):
            return
        self._heard_ns = mono_ns
        if len(self._waiting) > 1:  # one alone may be a damaged message
            self.beside = self._other
        if isinstance(message, Chunk):
            self._silent_s = max(SILENT_S, 3 * len(message.values) / message.rate_hz if message.rate_hz else 0.0)
        self._ended = isinstance(message, Info) and message.ended

    def _gives_way(self, message: Chunk | Info, mono_ns: int) -> bool:
        silent = mono_ns - self._heard_ns >= self._silent_s * 1e9
        answered = _is_estimate(message) and len(self._waiting) > 1
        return self._ended or silent or answered

    def _take_over(self, mono_ns: int) -> Iterator[Chunk | Info]:
        assert self.run is not None
        self._left.append(self.run)
        self.run, self._other, self.beside, self._ended = self._other, None, None, False
        self._heard_ns, self._silent_s = mono_ns, SILENT_S
        waiting = [message for _, message in self._waiting]
        self._waiting.clear()
        for message in waiting:
            self._note(message, mono_ns)
            yield message


def _is_estimate(message: Chunk | Info) -> bool:
    return isinstance(message, Chunk) and message.kind is Kind.ESTIMATE
