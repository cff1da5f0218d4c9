"""What ZeroMQ tells of a socket's connections."""

import contextlib
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import zmq

from streamer.transport.frames import AnySocket

_EVENT = struct.Struct("=HI")  # which pyzmq's own module decodes at the cost of importing asyncio
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a connection: one of ``zmq.EVENT_...``, its value, and the address it concerns."""

    kind: int
    value: int
    endpoint: str


class Monitor:
    """The events of a socket, to be read in any one thread, also after the socket is closed.

    Parameters
    ----------
    context : zmq.Context
        Of the socket.
    socket : zmq.Socket
        Neither bound nor connected yet, or what happens first is missed.
    events : int
        Which ones; that the socket watches no more is always told.
    """

    def __init__(self, context: "zmq.Context[AnySocket]", socket: AnySocket, events: int) -> None:
        address = f"inproc://monitor-{next(_numbers)}"
        socket.monitor(address, events | zmq.EVENT_MONITOR_STOPPED)
        self.socket = context.socket(zmq.PAIR)
        self.socket.setsockopt(zmq.RCVHWM, 0)  # ZeroMQ's own thread must never wait for this one
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(address)

    def take(self) -> Iterator[Happened]:
        """Return what has happened since it was last asked, oldest first."""
        with contextlib.suppress(zmq.Again):
            while True:
                event, endpoint = self.socket.recv_multipart(zmq.NOBLOCK)
                kind, value = _EVENT.unpack(event)
                yield Happened(kind, value, endpoint.decode(errors="replace"))

    def close(self) -> None:
        """Read no more; in the thread that reads."""
        self.socket.close()
