"""What may be subscribed to, and how much: subscriptions are memory here, some 80 bytes for each of their own."""

from collections.abc import Sequence

from streamer.messages import PUBLISHED, Rejected, Subscription
from streamer.transport.inflow import InflowLimit
from streamer.wire import codec

MAX_SUBSCRIPTION_BYTES = 512  # CURVE's handshake, which the limit holds for as well, needs half of it
# At the end of each connection ZeroMQ goes through all that is subscribed to, meanwhile nobody else gets a turn:
# some 10 ms for 64 KiB of random letters. So both are limited, how much there is and how often connections come.
SUBSCRIPTION_LIMIT = InflowLimit(
    burst_bytes=2**16,  # some 2,500 streams, one by one; who wants more subscribes to what they have in common
    leak_bytes_s=0.0,  # ZeroMQ keeps it until the connection ends
    total_burst_bytes=2**17,
    total_leak_bytes_s=2**13,
    little_bytes=2**10,  # a handshake with CURVE and a few topics
    connection_burst=256,
    connections_s=20.0,
    held_bytes=2**19,
)
SHOWN_BYTES = 40

_WORDS = [codec.topic(kind) for kind in PUBLISHED]


def subscription(parts: Sequence[bytes]) -> Subscription | Rejected | None:
    """Return who came or went, or why that is not welcome; None for anything else that a peer sends."""
    frame = parts[0]
    if len(parts) != 1 or frame[:1] not in (b"\0", b"\1"):
        return None  # an XPUB also hands up whatever else a subscriber sends; nobody has to
    active, prefix = frame[:1] == b"\1", frame[1:]
    if any(word.startswith(prefix) or prefix.startswith(word) for word in _WORDS):
        return Subscription(prefix, active=active)
    return Rejected(f"subscription: nothing is published under {prefix[:SHOWN_BYTES]!r}") if active else None
