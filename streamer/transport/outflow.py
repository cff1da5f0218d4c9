"""How much waits for the readers of a socket, and who is too far behind. Pure logic.

ZeroMQ bounds its queues in messages, and does not tell how long they are. A queue is empty while the system takes
more of a connection. While it does not, at most that waits which was published since, less what was written since.
Of a local connection the system does not tell how much was written. There it only shows who has been behind for
long, once too much is known to wait.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

LOOK_BYTES = 4 * 2**20  # published between two looks, at most ...
MIN_LOOKS = 16  # ... and less where less may wait: a reader that takes all is not behind at each of so many looks
SLOT_BYTES = 256  # of a message in one reader's queue, besides its content, which all readers' queues share
FRAMING_BYTES = 13  # of a message of three parts, at most
STALL_S = 1.0  # without a byte taken, after which nobody waits for a reader any more ...
OPEN_STALL_S = 300.0  # ... whose system would take more: it lets data wait on purpose, and works on what it has
HOPELESS = 8  # times what may wait
AGAIN_S = 5.0  # who connects so soon after one was cut off is taken for the same, and waited for half as long
MAX_STRIKES = 5


class Sent(NamedTuple):
    """What was published so far."""

    bytes: int
    messages: int


class SentCount:
    """Counts what is published; has somebody look at the connections every so many bytes.

    Parameters
    ----------
    look : callable
    look_bytes : int
    """

    __slots__ = ("_look", "_look_at", "_look_bytes", "bytes", "messages")

    def __init__(self, look: Callable[[], None], look_bytes: int) -> None:
        self._look = look
        self._look_bytes = self._look_at = look_bytes
        self.bytes = self.messages = 0

    def note(self, size: int) -> None:
        """Note that a message goes out."""
        self.bytes += size
        self.messages += 1
        if self.bytes >= self._look_at:
            self._look_at = self.bytes + self._look_bytes
            self._look()

    def now(self) -> Sent:
        """Return what was published so far."""
        return Sent(self.bytes, self.messages)


def wire_bytes(topic: bytes, header: bytes, payload: bytes) -> int:
    """Return what a message takes on its way, at most; more where it is encrypted."""
    return len(topic) + len(header) + len(payload) + FRAMING_BYTES


class Seen(NamedTuple):
    """What the system tells of a connection.

    `backlogged`: it takes no more for now. `written_bytes`: taken so far, None where that is not known.
    `open`: the reader's system would take more.
    """

    backlogged: bool
    written_bytes: int | None
    open: bool = False


@dataclass(slots=True)
class _Queue:
    """What may wait for a connection: what was published since `since`, less what was written since."""

    since: Sent
    stall_s: float
    since_written: int = 0
    bytes: int = 0
    messages: int = 0
    behind_bytes: int = 0  # over a local connection: published since the queue was empty
    backlogged: bool = False
    written_bytes: int | None = 0
    still_s: float = 0.0  # since when nothing was taken
    open: bool = False


class Outflow:
    """What waits for the connections to one socket.

    Contents are in memory once, whoever they wait for. So all that waits is what waits for who is furthest behind,
    besides a little for each message in each queue.

    Parameters
    ----------
    limit_bytes : int
    most_messages : int
        In a queue.
    """

    def __init__(self, limit_bytes: int, most_messages: int) -> None:
        self.limit_bytes = limit_bytes
        self._most_messages = most_messages
        self._queues: dict[int, _Queue] = {}
        self._strikes = 0  # who took nothing, one after another
        self._struck_s = -AGAIN_S

    def accept(self, connection: int, sent: Sent, now_s: float) -> None:
        """Note a new connection, for which nothing waits."""
        if now_s - self._struck_s >= AGAIN_S:
            self._strikes = 0
        self._queues[connection] = _Queue(sent, STALL_S / 2 ** min(self._strikes, MAX_STRIKES))

    def remove(self, connection: int) -> None:
        """Note that a connection has ended, or is to."""
        self._queues.pop(connection, None)

    def look(self, connection: int, sent: Sent, seen: Seen, now_s: float) -> None:
        """Note what the system tells of a connection, after so much was published.

        Raises
        ------
        KeyError
            If there is no such connection.
        """
        queue = self._queues[connection]
        if seen.written_bytes != queue.written_bytes or not seen.backlogged:
            queue.still_s = now_s
        queue.written_bytes = seen.written_bytes
        queue.backlogged, queue.open = seen.backlogged, seen.open
        if not seen.backlogged:
            queue.since, queue.since_written = sent, seen.written_bytes or 0
            queue.bytes = queue.messages = queue.behind_bytes = 0
            return
        published = sent.bytes - queue.since.bytes
        if seen.written_bytes is None:
            queue.behind_bytes = published
            return
        queue.bytes = max(0, published - max(0, seen.written_bytes - queue.since_written))
        messages = sent.messages - queue.since.messages
        queue.messages = min(self._most_messages, round(messages * queue.bytes / published)) if published else 0

    def backlogged(self, connection: int) -> bool:
        """Return whether something waited for a connection when it was looked at last."""
        return self._queues[connection].backlogged

    @property
    def waiting_bytes(self) -> int:
        """What waits for all connections, at most."""
        return max((queue.bytes for queue in self._queues.values()), default=0)

    def excess(self) -> tuple[int, str] | None:
        """Return who is to be cut off and why; None while what waits is within the limit."""
        if not self._queues:
            return None
        connection, queue = max(self._queues.items(), key=lambda one: one[1].bytes)
        if queue.bytes > self.limit_bytes:
            behind_mb, limit_mb = queue.bytes / 2**20, self.limit_bytes / 2**20
            return connection, f"it is behind by up to {behind_mb:.0f} MB, at most {limit_mb:.0f} MB may wait"
        if sum(one.messages for one in self._queues.values()) * SLOT_BYTES > self.limit_bytes:
            connection, queue = max(self._queues.items(), key=lambda one: one[1].messages)
            return connection, f"it is behind by up to {queue.messages} messages, and others are behind as well"
        return None

    def longest_behind_locally(self) -> int | None:
        """Return whose local connection was behind the longest, if for more than may wait."""
        if not self._queues:
            return None
        connection, queue = max(self._queues.items(), key=lambda one: one[1].behind_bytes)
        return connection if queue.behind_bytes > self.limit_bytes else None

    def is_hopeless(self, connection: int) -> bool:
        """Return whether a local connection was behind for so long that it makes no difference what it takes."""
        return self._queues[connection].behind_bytes > HOPELESS * self.limit_bytes

    def spare_local(self, sent: Sent) -> None:
        """Begin anew with all local connections: before another is cut off, this is to have its effect."""
        for queue in self._queues.values():
            if queue.written_bytes is None:
                queue.since, queue.behind_bytes = sent, 0

    def stalled(self, now_s: float, held_s: float) -> list[tuple[int, str]]:
        """Return who has taken nothing for so long that nobody is to wait for them, and why.

        Parameters
        ----------
        held_s : float
            How long the sender has waited. Of a local connection the system does not tell that something was
            taken; but if it was, the sender went on.
        """
        stalled: list[tuple[int, str]] = []
        for connection, queue in self._queues.items():
            still_s = now_s - queue.still_s
            if queue.written_bytes is None:
                still_s = min(still_s, held_s)
            if queue.backlogged and still_s >= (OPEN_STALL_S if queue.open else queue.stall_s):
                stalled.append((connection, f"it took nothing for {still_s:.1f} s, and others waited for it"))
        if stalled:
            self._strikes, self._struck_s = self._strikes + 1, now_s
        return stalled

    def __iter__(self) -> Iterator[int]:
        return iter(self._queues)
