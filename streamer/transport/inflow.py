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
        At once, all connections together, beyond the little that each may send. Then nobody else may.
    total_leak_bytes_s : float
        In the long run, all connections together.
    little_bytes : int
        What each may send whatever the others do: a handshake and a few subscriptions.
    connection_burst : int
        New connections at once.
    connections_s : float
        New connections a second in the long run.
    held_bytes : float
        In all, since they were made, the connections that there are, beyond the little; without limit where
        nothing stays in memory.
    """

    burst_bytes: int
    leak_bytes_s: float
    total_burst_bytes: int
    total_leak_bytes_s: float
    little_bytes: int
    connection_burst: int
    connections_s: float
    held_bytes: float = math.inf


@dataclass(slots=True)
class _Bucket:
    """A level that rises with what is added and falls by itself."""

    leak_s: float
    level: float = 0.0
    since_s: float = 0.0

    def add(self, count: int, now_s: float) -> float:
        leaked = max(0.0, now_s - self.since_s) * self.leak_s
        self.level = max(0.0, self.level - leaked) + count
        self.since_s = now_s
        return self.level


@dataclass(slots=True)
class _Connection:
    bucket: _Bucket
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
        self._total = _Bucket(limit.total_leak_bytes_s)
        self._new = _Bucket(limit.connections_s)
        self._held_bytes = 0

    def accept(self, connection: Hashable, now_s: float) -> str | None:
        """Note a new connection; return why it is to be cut off, None if it may stay."""
        self.remove(connection)
        self._connections[connection] = _Connection(_Bucket(self._limit.leak_bytes_s))
        self._new.add(1, now_s)
        if len(self._connections) > self._most_connections:
            return f"there are {self._most_connections} connections already, which is as many as fit"
        return None

    def overloaded(self, now_s: float) -> bool:
        """Return whether nobody else should be let in for now."""
        limit = self._limit
        return (
            self._new.add(0, now_s) > limit.connection_burst or self._total.add(0, now_s) > limit.total_burst_bytes
        )

    def remove(self, connection: Hashable) -> None:
        """Note that a connection has ended, or is to."""
        ended = self._connections.pop(connection, None)
        if ended is not None:
            self._held_bytes -= self._beyond_little(ended.received_bytes)

    def receive(self, connection: Hashable, received_bytes: int, now_s: float) -> str | None:
        """Note how much a connection has sent in all; return why it is to be cut off, None if it may stay.

        Raises
        ------
        KeyError
            If there is no such connection.
        """
        known, limit = self._connections[connection], self._limit
        count = max(0, received_bytes - known.received_bytes)
        beyond = self._beyond_little(known.received_bytes + count) - self._beyond_little(known.received_bytes)
        known.received_bytes += count
        self._held_bytes += beyond
        total = self._total.add(beyond, now_s)
        if known.bucket.add(count, now_s) > limit.burst_bytes:
            return f"it sent {known.received_bytes} bytes; at most {limit.burst_bytes} may come at once"
        if beyond and total > limit.total_burst_bytes:
            return f"all connections together sent more than {limit.total_burst_bytes} bytes at once"
        if beyond and self._held_bytes > limit.held_bytes:
            return f"all connections together have sent more than {limit.held_bytes:.0f} bytes"
        return None

    def _beyond_little(self, count: int) -> int:
        return max(0, count - self._limit.little_bytes)

    def __contains__(self, connection: Hashable) -> bool:
        return connection in self._connections
