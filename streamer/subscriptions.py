"""What may be subscribed to, and how much: subscriptions are memory here, some 80 bytes for each of their own."""

from collections.abc import Sequence

from streamer import wire
from streamer.messages import PUBLISHED, Rejected, Subscription

MAX_SUBSCRIPTION_BYTES = 512  # CURVE's handshake, which the limit holds for as well, needs half of it
MAX_SUBSCRIBED_BYTES = 2**20  # in all: 10,000 listeners to one stream each, or one to each of 10,000
SHOWN_BYTES = 40

_WORDS = [wire.topic(kind) for kind in PUBLISHED]


class Subscriptions:
    """Takes what subscribers of one socket say."""

    def __init__(self) -> None:
        self._bytes = 0

    @property
    def too_many(self) -> bool:
        """Whether the socket has to go, with all connections to it."""
        return self._bytes > MAX_SUBSCRIBED_BYTES

    def take(self, parts: Sequence[bytes]) -> Subscription | Rejected | None:
        """Return who came or went, or why that is not welcome; None for anything else that a peer sends."""
        frame = parts[0]
        if len(parts) != 1 or frame[:1] not in (b"\0", b"\1"):
            return None  # an XPUB also hands up whatever else a subscriber sends; nobody has to
        active = frame[:1] == b"\1"
        self._bytes += len(frame) if active else -len(frame)
        prefix = frame[1:]
        if any(word.startswith(prefix) or prefix.startswith(word) for word in _WORDS):
            return Subscription(prefix, active=active)
        return Rejected(f"subscription: nothing is published under {prefix[:SHOWN_BYTES]!r}") if active else None
