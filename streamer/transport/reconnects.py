"""Connections that ZeroMQ has given up, and when each is to be made anew.

ZeroMQ connects again to who hangs up, but never to who broke the protocol: by a frame over the limit, by bytes of
another program, by a handshake with other keys. After such an end it tells of nothing further, neither of another
try nor that it waits for one. Looks count and not time, as in `streamer.transport.connection_states`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from streamer.transport.connection_states import Event

FIRST_WAIT_LOOKS, LONGEST_WAIT_LOOKS = 1, 60


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A connection to be made anew.

    `stood` tells whether the peer had been understood before, and `first` whether this is new: no other connection
    to it was given up shortly before.
    """

    address: str
    stood: bool
    first: bool


@dataclass(slots=True)
class _Connection:
    """What has become of the connection to an address; `wait_looks` is how long the next end is left alone."""

    stood: bool = False
    ended: bool = False
    looks: int = 0  # since it was made, or has ended
    wait_looks: int = FIRST_WAIT_LOOKS
    troubled: bool = False

    def take(self, event: Event) -> None:
        if event is Event.GONE:
            self.ended, self.looks = True, -1  # from the next look on
        elif event is Event.STANDS:
            self.stood, self.ended, self.looks = True, False, 0
        elif self.ended:
            self.stood = self.ended = False

    def look(self) -> bool:
        """Return whether it is to be made anew now."""
        self.looks += 1
        if not self.ended:
            if self.stood and self.looks >= LONGEST_WAIT_LOOKS:
                self.troubled, self.wait_looks = False, FIRST_WAIT_LOOKS
            return False
        if self.looks < self.wait_looks:
            return False
        self.looks = 0
        self.wait_looks = min(2 * self.wait_looks, LONGEST_WAIT_LOOKS)
        return True


class GivenUpWatch:
    """Those who are connected to through one socket.

    Parameters
    ----------
    addresses : iterable of str
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        self._connections = {address: _Connection() for address in addresses}

    def event(self, address: str, event: Event) -> None:
        """Take what happened to the connection to an address."""
        self._connections[address].take(event)

    def look(self) -> list[GivenUp]:
        """Return which connections are to be made anew now; one that cannot be is returned again later."""
        due: list[GivenUp] = []
        for address, connection in self._connections.items():
            if connection.look():
                due.append(GivenUp(address, connection.stood, first=connection.stood and not connection.troubled))
                connection.troubled |= connection.stood
                connection.stood = False
        return due
