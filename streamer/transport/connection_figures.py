"""What the system tells of a connection, by its file descriptor, which may be another file's by now (Linux)."""

import contextlib
import fcntl
import select
import socket as system
import struct
import termios
from collections.abc import Iterable, Iterator

from streamer.transport.outflow import Seen

TCP_INFO_BYTES = 232
BYTES_ACKED = struct.Struct("<120xQ")  # of Linux' struct tcp_info
BYTES_RECEIVED = struct.Struct("<128xQ")
SEGMENT_BYTES = struct.Struct("<16xI")
WINDOW_BYTES = struct.Struct("<228xI")  # that the other side would take, since Linux 5.4
SIOCOUTQ = termios.TIOCOUTQ


@contextlib.contextmanager
def borrowed(descriptor: int) -> Iterator[system.socket]:
    """Return a socket that is ZeroMQ's, to ask something of.

    Raises
    ------
    OSError
        If it is no socket.
    """
    connection = system.socket(fileno=descriptor)
    try:
        yield connection
    finally:
        connection.detach()


def received_bytes(descriptor: int, local: dict[int, int]) -> int | None:
    """Return how many bytes came over a connection, over a local one at least how many; None if it has ended."""
    try:
        with borrowed(descriptor) as connection:
            if connection.family == system.AF_UNIX:
                # The system does not count; what waits now has come since it was looked at last.
                local[descriptor] = local.get(descriptor, 0) + _queued(descriptor, termios.FIONREAD)
                return local[descriptor]
            info = tcp_info(connection)
            return int(BYTES_RECEIVED.unpack_from(info)[0]) if len(info) >= BYTES_RECEIVED.size else 0
    except OSError:
        return None


def seen(descriptor: int, *, backlogged: bool) -> Seen | None:
    """Return what the system tells of a connection that data goes out over; None if it has ended."""
    try:
        with borrowed(descriptor) as connection:
            if connection.family == system.AF_UNIX:
                return Seen(backlogged, None)
            info = tcp_info(connection)
            if len(info) < BYTES_ACKED.size:
                return Seen(backlogged, None)
            acked = int(BYTES_ACKED.unpack_from(info)[0])
            unsent = _queued(descriptor, SIOCOUTQ)
            window = int(WINDOW_BYTES.unpack_from(info)[0]) if len(info) >= WINDOW_BYTES.size else 0
            return Seen(backlogged, acked + unsent, window >= SEGMENT_BYTES.unpack_from(info)[0])
    except OSError:
        return None


def writable(descriptors: Iterable[int], within_ms: int = 0) -> set[int]:
    """Return of which connections the system takes more, now or soon."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLOUT)
    return {descriptor for descriptor, events in poll.poll(within_ms) if events & select.POLLOUT}


def tcp_info(connection: system.socket) -> bytes:
    """Return Linux' struct tcp_info of a connection, or as much of it as there is."""
    return connection.getsockopt(system.IPPROTO_TCP, system.TCP_INFO, TCP_INFO_BYTES)


def _queued(descriptor: int, request: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(descriptor, request, bytes(4)))[0])
