"""How much may come in over the connections to one socket: who exceeds it is to be cut off. Pure logic.

What a subscriber sends is stored by ZeroMQ before anybody may look at it, at some 80 bytes for each one that came,
and what is asked for waits in its queues. So bytes are counted where they arrive, connection by connection.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InflowLimit:
    """What the connections to one socket may send.

    Parameters
    ----------
    burst_bytes : int
        At once, each connection.
    leak_bytes_s : float
        In the long run, each connection; 0 where what was sent stays in memory until the connection ends.
    total_burst_bytes : int
        At once, all connections together. Beyond it, who sends is cut off, save who has sent little.
    total_leak_bytes_s : float
        In the long run, all connections together.
    held_bytes : float
        In all, since they were made, the connections that there are; without limit where nothing stays in memory.
    little_bytes : int
        Let pass whatever others send: enough for a handshake and a few subscriptions.
    """

    burst_bytes: int
    leak_bytes_s: float
    total_burst_bytes: int
    total_leak_bytes_s: float
    little_bytes: int
    held_bytes: float = math.inf


@dataclass(slots=True)
class _Level:
    """Bytes in a bucket that leaks."""

    leak_bytes_s: float
    bytes: float = 0.0
    since_s: float = 0.0

    def add(self, count: int, now_s: float) -> float:
        leaked = (now_s - self.since_s) * self.leak_bytes_s
        self.bytes = max(0.0, self.bytes - max(0.0, leaked)) + count
        self.since_s = now_s
        return self.bytes


@dataclass(slots=True)
class _Connection:
    level: _Level
    received_bytes: int = 0


class Inflow:
    """Counts what comes in over the connections to one socket.

    Parameters
    ----------
    limit : InflowLimit
    most_connections : int
        At a time; the newest beyond them is cut off.
    """

    def __init__(self, limit: InflowLimit, most_connections: int) -> None:
        self._limit = limit
        self._most_connections = most_connections
        self._connections: dict[Hashable, _Connection] = {}
        self._total = _Level(limit.total_leak_bytes_s)
        self._held_bytes = 0

    def accept(self, connection: Hashable) -> str | None:
        """Note a new connection; return why it is to be cut off, None if it may stay."""
        self.remove(connection)
        self._connections[connection] = _Connection(_Level(self._limit.leak_bytes_s))
        if len(self._connections) > self._most_connections:
            return f"there are {self._most_connections} connections already, which is as many as fit"
        return None

    def remove(self, connection: Hashable) -> None:
        """Note that a connection has ended, or is to."""
        ended = self._connections.pop(connection, None)
        if ended is not None:
            self._held_bytes -= ended.received_bytes

    def receive(self, connection: Hashable, received_bytes: int, now_s: float) -> str | None:
        """Note how much a connection has sent in all; return why it is to be cut off, None if it may stay.

        Raises
        ------
        KeyError
            If there is no such connection.
        """
        known, limit = self._connections[connection], self._limit
        count = max(0, received_bytes - known.received_bytes)
        known.received_bytes += count
        self._held_bytes += count
        total = self._total.add(count, now_s)
        if known.level.add(count, now_s) > limit.burst_bytes:
            return f"it sent {known.received_bytes} bytes; at most {limit.burst_bytes} may come at once"
        if known.received_bytes <= limit.little_bytes:
            return None
        if total > limit.total_burst_bytes:
            return f"all connections together sent more than {limit.total_burst_bytes} bytes at once"
        if self._held_bytes > limit.held_bytes:
            return f"all connections together have sent more than {limit.held_bytes:.0f} bytes"
        return None

    def __contains__(self, connection: Hashable) -> bool:
        return connection in self._connections
