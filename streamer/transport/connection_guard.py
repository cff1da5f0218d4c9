"""Cuts off connections that send more than readers need, before it is all in memory.

ZeroMQ reads a connection for as long as something comes, and whoever called it does not get to run meanwhile. So a
thread of its own watches: the system tells it when something has come over a connection, and how much in all.
"""

import contextlib
import fcntl
import os
import queue
import resource
import select
import socket as system
import struct
import termios
import threading
import time
from pathlib import Path

import zmq

from streamer.transport.frames import AnySocket
from streamer.transport.inflow import Inflow, InflowLimit
from streamer.transport.listening_socket import Listener
from streamer.transport.monitors import Monitor

ROUND_S = 0.0005  # between two looks
PAUSE_S = 0.1  # between two looks whether others may be let in again
TCP_INFO_BYTES = 232
BYTES_RECEIVED = struct.Struct("<128xQ")  # of Linux' struct tcp_info
UNREPORTED = 100
MOST_CONNECTIONS, LEAST_CONNECTIONS = 100_000, 4
SPARE_DESCRIPTORS = 16  # for files that are opened later
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED
_ENDS = (zmq.EVENT_CLOSED, zmq.EVENT_DISCONNECTED)


class _Door:
    """A socket whose connections are watched: its monitor, where it listens, and what came in."""

    def __init__(self, monitor: Monitor, listener: Listener, limit: InflowLimit) -> None:
        self.monitor = monitor
        self.listener = listener
        self.inflow = Inflow(limit, most_connections())
        self.paused = False  # nobody is let in
        self.local: dict[int, int] = {}  # descriptor -> bytes that came over a local connection, at least


class ConnectionGuard:
    """Watches the connections to bound sockets until it is closed.

    Parameters
    ----------
    context : zmq.Context
        Of the sockets.
    """

    available = hasattr(select, "epoll") and hasattr(system, "TCP_INFO")
    """Whether the system tells what comes over a connection."""

    def __init__(self, context: "zmq.Context[AnySocket]") -> None:
        self._context = context
        self._new: queue.SimpleQueue[_Door | None] = queue.SimpleQueue()
        self._cut: queue.Queue[str] = queue.Queue(UNREPORTED)
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._doors: list[_Door] = []
        self._poll = select.epoll()
        self._poll.register(self._wake_reader, select.EPOLLIN)
        self._thread = threading.Thread(target=self._watch, name="connections", daemon=True)
        self._thread.start()

    def watch(self, socket: AnySocket, listener: Listener, limit: InflowLimit) -> None:
        """Watch the connections to a socket; call it before the socket is bound.

        Parameters
        ----------
        socket : zmq.Socket
        listener : Listener
            Whose connections it will take.
        limit : InflowLimit
        """
        self._new.put(_Door(Monitor(self._context, socket, _EVENTS), listener, limit))
        os.write(self._wake_writer, b"\0")

    def reports(self) -> list[str]:
        """Return, once, which connections were cut off and why."""
        reports: list[str] = []
        with contextlib.suppress(queue.Empty):
            while True:
                reports.append(self._cut.get_nowait())
        return reports

    def close(self) -> None:
        """Watch no more."""
        self._new.put(None)
        os.write(self._wake_writer, b"\0")
        self._thread.join()
        for descriptor in (self._wake_reader, self._wake_writer):
            os.close(descriptor)
        self._poll.close()

    # In the thread

    def _watch(self) -> None:
        try:
            while self._take_new():
                for descriptor, _ in self._poll.poll(
                    PAUSE_S if any(door.paused for door in self._doors) else None
                ):
                    self._look(descriptor)
                for door in list(self._doors):  # a monitor's descriptor tells of changes only
                    self._follow(door)
                    self._pause(door)
                time.sleep(ROUND_S)
        finally:
            for door in self._doors:
                door.monitor.close()

    def _take_new(self) -> bool:
        """Take over new sockets; return False once the guard is closed."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_reader, 4096)
        with contextlib.suppress(queue.Empty):
            while True:
                door = self._new.get_nowait()
                if door is None:
                    return False
                self._doors.append(door)
                self._poll.register(door.monitor.socket.FD, select.EPOLLIN | select.EPOLLET)
                self._follow(door)
        return True

    def _follow(self, door: _Door) -> None:
        """Heed which connections to a socket were made and ended."""
        for event in door.monitor.take():
            if event.kind == zmq.EVENT_ACCEPTED:
                self._accept(door, event.value)
            elif event.kind in _ENDS:
                door.inflow.remove(event.value)
            elif event.kind == zmq.EVENT_MONITOR_STOPPED:
                self._doors.remove(door)
                door.monitor.close()
                return

    def _pause(self, door: _Door) -> None:
        """Let nobody in while too much comes."""
        overloaded = door.inflow.overloaded(time.monotonic())
        if overloaded != door.paused:
            door.paused = overloaded
            with contextlib.suppress(OSError):  # the process ends, or the system cannot: who is let in is cut off
                door.listener.pause(overloaded)

    def _accept(self, door: _Door, descriptor: int) -> None:
        door.local.pop(descriptor, None)
        refused = door.inflow.accept(descriptor, time.monotonic())
        if refused is not None:
            self._cut_off(door, descriptor, refused)
            return
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            self._poll.register(descriptor, select.EPOLLIN | select.EPOLLET)

    def _look(self, descriptor: int) -> None:
        """See how much has come over a connection."""
        door = next((door for door in self._doors if descriptor in door.inflow), None)
        if door is None:
            return
        received = _received_bytes(descriptor, door.local)
        if received is None:
            return
        refused = door.inflow.receive(descriptor, received, time.monotonic())
        if refused is not None:
            self._cut_off(door, descriptor, refused)

    def _cut_off(self, door: _Door, descriptor: int, reason: str) -> None:
        door.inflow.remove(descriptor)
        if _shut(descriptor, door.listener):
            with contextlib.suppress(queue.Full):
                self._cut.put_nowait(f"{door.listener.address}: a connection was dropped: {reason}")


def most_connections() -> int:
    """Return how many connections a socket may have: half of the file descriptors that this process can spare.

    With none left, nobody could be let in, and ZeroMQ would try again and again without a pause.
    """
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft_limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    return min(MOST_CONNECTIONS, max(LEAST_CONNECTIONS, (soft_limit - in_use - SPARE_DESCRIPTORS) // 2))


def _received_bytes(descriptor: int, local: dict[int, int]) -> int | None:
    """Return how many bytes came over a connection, over a local one at least how many; None if it has ended."""
    try:
        connection = system.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        if connection.family == system.AF_UNIX:
            # The system does not count; what waits now has come since it was looked at last.
            waiting = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
            local[descriptor] = local.get(descriptor, 0) + waiting
            return local[descriptor]
        info = connection.getsockopt(system.IPPROTO_TCP, system.TCP_INFO, TCP_INFO_BYTES)
        return int(BYTES_RECEIVED.unpack_from(info)[0]) if len(info) >= BYTES_RECEIVED.size else 0
    except OSError:
        return None
    finally:
        connection.detach()


def _shut(descriptor: int, listener: Listener) -> bool:
    """End a connection; ZeroMQ, whose descriptor it is, then closes it. Return whether there was one."""
    try:
        connection = system.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        if not listener.accepted(connection):  # the number is another file's by now
            return False
        # Reset rather than ended in peace: a peer in the middle of a send hears of it at once.
        connection.setsockopt(system.SOL_SOCKET, system.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(system.SHUT_RDWR)
    except OSError:
        return False
    finally:
        connection.detach()
    return True
