"""Cuts off connections that send more than readers need, or take too little, before it is all in memory.

ZeroMQ reads a connection for as long as something comes, and whoever called it does not get to run meanwhile. So a
thread of its own watches: the system tells it when something has come over a connection, and how much in all.
What goes out is looked at whenever enough of it was published.
"""

import contextlib
import os
import queue
import resource
import select
import socket as system
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from streamer.messages import Rejected, SlowReader
from streamer.transport import connection_figures as figures
from streamer.transport.frames import AnySocket
from streamer.transport.inflow import Inflow, InflowLimit
from streamer.transport.listening_socket import Listener
from streamer.transport.monitors import Monitor
from streamer.transport.outflow import Outflow, Sent

ROUND_S = 0.0005  # between two looks
PAUSE_S = 0.1  # between two looks whether others may be let in again
SETTLE_S = 0.001  # in which ZeroMQ writes on where it can
TAKES_MS = 50  # in which who reads takes something
UNREPORTED = 100
MAX_CONNECTIONS, MIN_CONNECTIONS = 100_000, 4
SPARE_DESCRIPTORS = 16  # for files that are opened later
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED
_ENDS = (zmq.EVENT_CLOSED, zmq.EVENT_DISCONNECTED)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What goes out over the connections to a socket.

    Parameters
    ----------
    sent : callable
        Return how much was sent so far.
    pressed : callable
        Return whether it is known that too much waits.
    limit_bytes : int
        That may wait.
    most_messages : int
        That ZeroMQ keeps for a reader.
    waits : bool
        The sender waits while too much does. Otherwise who is too far behind is cut off.
    """

    sent: Callable[[], Sent]
    pressed: Callable[[], bool]
    limit_bytes: int
    most_messages: int
    waits: bool


class _Door:
    """A socket whose connections are watched: its monitor, where it listens, what came in and what goes out."""

    def __init__(self, monitor: Monitor, listener: Listener, limit: InflowLimit, outgoing: Outgoing) -> None:
        self.monitor = monitor
        self.listener = listener
        self.inflow = Inflow(limit, most_connections())
        self.outgoing = outgoing
        self.outflow = Outflow(outgoing.limit_bytes, outgoing.most_messages)
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
        self._cut: queue.Queue[Rejected | SlowReader] = queue.Queue(UNREPORTED)
        self._to_look = False  # at what goes out
        self._held_s = 0.0  # for which a sender has waited
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._doors: list[_Door] = []
        self._poll = select.epoll()
        self._poll.register(self._wake_reader, select.EPOLLIN)
        self._thread = threading.Thread(target=self._watch, name="connections", daemon=True)
        self._thread.start()

    def watch(self, socket: AnySocket, listener: Listener, limit: InflowLimit, outgoing: Outgoing) -> None:
        """Watch the connections to a socket; call it before the socket is bound.

        Parameters
        ----------
        socket : zmq.Socket
        listener : Listener
            Whose connections it will take.
        limit : InflowLimit
        outgoing : Outgoing
        """
        self._new.put(_Door(Monitor(self._context, socket, _EVENTS), listener, limit, outgoing))
        self._wake()

    def look(self, held_s: float = 0.0) -> None:
        """Look soon at how much waits for readers; where a sender has waited for it, cut off who takes nothing."""
        self._held_s = max(self._held_s, held_s)
        self._to_look = True
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full, so it wakes
            os.write(self._wake_writer, b"\0")

    def reports(self) -> list[Rejected | SlowReader]:
        """Return, once, which connections were cut off and why."""
        reports: list[Rejected | SlowReader] = []
        with contextlib.suppress(queue.Empty):
            while True:
                reports.append(self._cut.get_nowait())
        return reports

    def close(self) -> None:
        """Watch no more."""
        self._new.put(None)
        self._wake()
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
                if self._to_look:
                    self._to_look = False
                    held_s, self._held_s = self._held_s, 0.0
                    for door in list(self._doors):
                        self._look_out(door, held_s)
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
                door.outflow.remove(event.value)
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
        now_s = time.monotonic()
        door.outflow.accept(descriptor, door.outgoing.sent(), now_s)
        refused = door.inflow.accept(descriptor, now_s)
        if refused is not None:
            self._cut_off(door, descriptor, Rejected, refused)
            return
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            self._poll.register(descriptor, select.EPOLLIN | select.EPOLLET)

    def _look(self, descriptor: int) -> None:
        """See how much has come over a connection."""
        door = next((door for door in self._doors if descriptor in door.inflow), None)
        if door is None:
            return
        received = figures.received_bytes(descriptor, door.local)
        if received is None:
            return
        refused = door.inflow.receive(descriptor, received, time.monotonic())
        if refused is not None:
            self._cut_off(door, descriptor, Rejected, refused)

    def _look_out(self, door: _Door, held_s: float) -> None:
        """See how much waits for the connections to a socket, and cut off who is too far behind."""
        outflow, sent = door.outflow, door.outgoing.sent()
        free = figures.writable(outflow)
        if any(outflow.backlogged(descriptor) for descriptor in free):
            time.sleep(SETTLE_S)  # where more is taken now, ZeroMQ fills it up from what waits
            free &= figures.writable(free)
        now_s = time.monotonic()
        for descriptor in outflow:
            seen = figures.seen(descriptor, backlogged=descriptor not in free)
            if seen is not None:
                outflow.look(descriptor, sent, seen, now_s)
        if not door.outgoing.waits:
            if door.outgoing.pressed():
                self._relieve(door, sent)
            while (excess := outflow.excess()) is not None:
                self._cut_off(door, excess[0], SlowReader, excess[1])
        elif held_s:
            for descriptor, reason in outflow.stalled(now_s, held_s):
                self._cut_off(door, descriptor, SlowReader, reason)

    def _relieve(self, door: _Door, sent: Sent) -> None:
        """Cut off a local connection: it is known that too much waits, but not for whom."""
        behind = door.outflow.longest_behind_locally()
        if behind is None:
            return
        if door.outflow.is_hopeless(behind) or not figures.writable([behind], within_ms=TAKES_MS):
            self._cut_off(door, behind, SlowReader, "it has been behind for the longest, and too much waits")
            door.outflow.spare_local(sent)

    def _cut_off(self, door: _Door, descriptor: int, what: type[Rejected] | type[SlowReader], reason: str) -> None:
        door.inflow.remove(descriptor)
        door.outflow.remove(descriptor)
        if _shut(descriptor, door.listener):
            with contextlib.suppress(queue.Full):
                self._cut.put_nowait(what(f"{door.listener.address}: a connection was dropped: {reason}"))


def most_connections() -> int:
    """Return how many connections a socket may have: half of the file descriptors that this process can spare.

    With none left, nobody could be let in, and ZeroMQ would try again and again without a pause.
    """
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft_limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    return min(MAX_CONNECTIONS, max(MIN_CONNECTIONS, (soft_limit - in_use - SPARE_DESCRIPTORS) // 2))


def _shut(descriptor: int, listener: Listener) -> bool:
    """End a connection; ZeroMQ, whose descriptor it is, then closes it. Return whether there was one."""
    try:
        with figures.borrowed(descriptor) as connection:
            if not listener.accepted(connection):  # the number is another file's by now
                return False
            # Reset rather than ended in peace: a peer in the middle of a send hears of it at once.
            connection.setsockopt(system.SOL_SOCKET, system.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(system.SHUT_RDWR)
    except OSError:
        return False
    return True
