"""Waiting for listeners before saying anything. Sans-IO."""

from collections.abc import Iterator, Sequence

from streamer.clock import Instant
from streamer.effects import Effect, Finish
from streamer.messages import Incoming, Subscription


class WaitForSubscribers:
    """A core that finishes once enough subscribers listen to a topic.

    Parameters
    ----------
    topic : bytes
        As `wire.topic` returns it.
    listeners : int
        How many.
    """

    def __init__(self, topic: bytes, listeners: int) -> None:
        self._topic = topic
        self._listeners = listeners
        self._here = 0

    @property
    def satisfied(self) -> bool:
        """Whether enough listen now."""
        return self._here >= self._listeners

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterator[Effect]:  # noqa: ARG002
        """Count who comes and goes."""
        for message in messages:
            if isinstance(message, Subscription) and self._hears(message.prefix):
                self._here = max(0, self._here + (1 if message.active else -1))
        if self.satisfied:
            yield Finish()

    def _hears(self, prefix: bytes) -> bool:
        """Whether who asks for `prefix` hears some of the topic: all of it, or one of its streams."""
        return self._topic.startswith(prefix) or prefix.startswith(self._topic)

    def tick(self, now: Instant) -> Iterator[Effect]:  # noqa: ARG002
        """Finish at once if nobody need be waited for."""
        if self.satisfied:
            yield Finish()

    def next_deadline_ns(self) -> None:
        """No clock is needed."""

    def work(self) -> None:
        """Nothing can wait."""

    def stop(self, now: Instant) -> tuple[Effect, ...]:  # noqa: ARG002
        """Nothing to say."""
        return ()
