"""A source that says whatever it is given, as bytes."""

import threading
from collections.abc import Iterable, Sequence

import zmq

from tests.support.bounded import bounded_context

PATIENCE_MS = 60_000


class Mouth:
    """An XPUB that waits until it is listened to.

    Parameters
    ----------
    address : str
        To bind.
    """

    def __init__(self, address: str) -> None:
        self._context = bounded_context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._socket.bind(address)

    def wait_for_listener(self, topic: bytes = b"input/") -> None:
        """Wait until somebody subscribes to a topic."""
        while True:
            assert self._socket.poll(PATIENCE_MS), f"nobody subscribed to {topic!r}"
            if self._socket.recv() == b"\1" + topic:
                return

    def wait_for_leaver(self) -> None:
        """Wait until a connection with subscriptions is gone."""
        while True:
            assert self._socket.poll(PATIENCE_MS), "nobody left"
            if self._socket.recv()[:1] == b"\0":
                return

    def say(self, parts: Sequence[bytes]) -> None:
        """Say one message."""
        self._socket.send_multipart(parts)

    def say_all(self, messages: Iterable[Sequence[bytes]]) -> None:
        """Say messages one after another."""
        for parts in messages:
            self.say(parts)

    def close(self) -> None:
        """Leave nothing behind."""
        self._context.destroy(linger=0)

    def __enter__(self) -> "Mouth":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Chorus:
    """Many sockets of one process, each of which should hear nothing.

    Parameters
    ----------
    most : int
        How many there may be.
    """

    def __init__(self, most: int) -> None:
        self.context = bounded_context()
        # Each has a monitor: three sockets.
        self.context.set(zmq.MAX_SOCKETS, 4 * most + 100)
        self._sockets: list[zmq.Socket[bytes]] = []
        self._poller = zmq.Poller()
        self._monitors: list[zmq.Socket[bytes]] = []
        self._lock = threading.Lock()

    def add(self, socket: "zmq.Socket[bytes]", address: str, events: int) -> None:
        """Connect one, and watch for events of it."""
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 200)
        monitor = socket.get_monitor_socket(events)
        socket.connect(address)
        self._poller.register(socket, zmq.POLLIN)
        self._sockets.append(socket)
        self._monitors.append(monitor)

    def refused(self) -> int:
        """Return how many have seen one of their events."""
        return sum(bool(monitor.poll(0)) for monitor in self._monitors)

    def heard(self) -> int:
        """Return how many have received anything."""
        return len(self._poller.poll(0))

    def close(self) -> None:
        """Leave nothing behind."""
        for socket in self._sockets:
            socket.disable_monitor()
        for monitor in self._monitors:
            monitor.close(linger=0)
        self.context.destroy(linger=0)
