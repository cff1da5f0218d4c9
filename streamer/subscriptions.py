"""What may be subscribed to, and how much: subscriptions are memory here, some 80 bytes for each of their own."""

from collections.abc import Sequence

from streamer import wire
from streamer.inflow import InflowLimit
from streamer.messages import PUBLISHED, Rejected, Subscription

MAX_SUBSCRIPTION_BYTES = 512  # CURVE's handshake, which the limit holds for as well, needs half of it
SUBSCRIPTION_LIMIT = InflowLimit(
    burst_bytes=2**18,  # one reader of each of 10,000 streams
    leak_bytes_s=0.0,  # ZeroMQ keeps it until the connection ends
    held_bytes=2**20,  # 10,000 readers of one stream each
    total_burst_bytes=2**20,  # ZeroMQ takes 12 us for each subscription, in which nobody else gets a turn
    total_leak_bytes_s=2**16,
    little_bytes=2**11,
)
SHOWN_BYTES = 40

_WORDS = [wire.topic(kind) for kind in PUBLISHED]


def subscription(parts: Sequence[bytes]) -> Subscription | Rejected | None:
    """Return who came or went, or why that is not welcome; None for anything else that a peer sends."""
    frame = parts[0]
    if len(parts) != 1 or frame[:1] not in (b"\0", b"\1"):
        return None  # an XPUB also hands up whatever else a subscriber sends; nobody has to
    active, prefix = frame[:1] == b"\1", frame[1:]
    if any(word.startswith(prefix) or prefix.startswith(word) for word in _WORDS):
        return Subscription(prefix, active=active)
    return Rejected(f"subscription: nothing is published under {prefix[:SHOWN_BYTES]!r}") if active else None
