"""What is told of readers for whom too much waited. Sans-IO."""

from collections.abc import Iterator

from streamer.clock import Instant
from streamer.effects import WARNING, Effect, Say
from streamer.messages import SlowReader

SAY_EVERY_NS = 10_000_000_000
ADVICE = (
    "let it read faster or subscribe to less, or give --memory more; `listen --reliable` asks for what it missed"
)


class SlowReaders:
    """Counts them, and speaks of them now and then.

    Attributes
    ----------
    count : int
    """

    def __init__(self) -> None:
        self.count = 0
        self._said = 0
        self._last = ""
        self._next_ns = 0

    def take(self, one: SlowReader) -> None:
        """Note one."""
        self.count += 1
        self._last = one.reason

    def say(self, now: Instant) -> Iterator[Effect]:
        """Speak of those of whom nothing was said yet, at most every ten seconds."""
        if self.count == self._said or now.mono_ns < self._next_ns:
            return
        self._next_ns = now.mono_ns + SAY_EVERY_NS
        count, self._said = self.count - self._said, self.count
        yield Say(f"{count} slow reader(s); the last: {self._last}; {ADVICE}", WARNING)
