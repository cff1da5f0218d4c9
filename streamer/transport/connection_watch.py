"""The thread that watches connections: nobody waits in silence for who is not there, or was given up."""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import zmq

from streamer.transport.connection_states import LOOK_S, ConnectionStates, Event
from streamer.transport.endpoint_names import EndpointNames
from streamer.transport.frames import AnySocket
from streamer.transport.monitors import Monitor
from streamer.transport.reconnects import GivenUpWatch

log = logging.getLogger("sincos")

EVENTS = {
    zmq.EVENT_CONNECT_DELAYED: Event.TRIED,
    zmq.EVENT_CONNECT_RETRIED: Event.WAITS,
    zmq.EVENT_CLOSED: Event.REFUSED,
    zmq.EVENT_CONNECTED: Event.ACCEPTED,
    zmq.EVENT_HANDSHAKE_SUCCEEDED: Event.STANDS,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: Event.WRONG_KEY,
    zmq.EVENT_DISCONNECTED: Event.GONE,
}
JOIN_S = 5.0
BROKE_OFF = "a frame over 32 MiB came, or bytes that are not ZeroMQ's"


@dataclass(frozen=True, slots=True)
class Lost:
    """A connection that its socket has to make anew, in the thread that owns it.

    Parameters
    ----------
    socket : zmq.Socket
    address : str
        What is to be connected to.
    publishes_at : str
        Where who is there publishes.
    reason : str or None
        What to count as rejected, if anything came.
    """

    socket: AnySocket
    address: str
    publishes_at: str
    reason: str | None


class _Watched:
    """A socket, the events of its connections, and what is made of them.

    Parameters
    ----------
    socket : zmq.Socket
    monitor : Monitor
    publishing : mapping
        Address that is connected to -> where who is there publishes.
    connection_states : ConnectionStates or None
        To say who is not there.
    """

    def __init__(
        self,
        socket: AnySocket,
        monitor: Monitor,
        publishing: Mapping[str, str],
        connection_states: ConnectionStates | None,
    ) -> None:
        self.socket = socket
        self.monitor = monitor
        self.publishing = publishing
        self.connection_states = connection_states
        self.given_up = GivenUpWatch(publishing)
        self._names = EndpointNames(list(publishing))

    def take(self) -> bool:
        """Take what has happened; return whether more may follow."""
        for happened in self.monitor.take():
            if happened.kind == zmq.EVENT_MONITOR_STOPPED:
                return False
            event = EVENTS.get(zmq.Event(happened.kind))
            if event is None:
                continue
            for address in self._names[happened.endpoint]:
                self.given_up.event(address, event)
                if self.connection_states is not None:
                    self.connection_states.event(address, event)
        return True


class ConnectionWatch:
    """Watches sockets' connections from `start` until `close`. Readable while `lost` has something to return.

    Parameters
    ----------
    context : zmq.Context
    flags : mapping or None
        The flag that each address was given with, for the log; None to say nothing.
    heard : callable
        Return whether anything has been heard from anybody so far.
    """

    def __init__(
        self, context: "zmq.Context[AnySocket]", flags: Mapping[str, str] | None, heard: Callable[[], bool]
    ) -> None:
        self._context = context
        self._flags = flags
        self._heard = heard
        self._watched: list[_Watched] = []
        self._lost: queue.SimpleQueue[Lost] = queue.SimpleQueue()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._thread = threading.Thread(target=self._run, name="connection-watch", daemon=True)

    def add(self, socket: AnySocket, addresses: Sequence[str]) -> None:
        """Watch a socket that will be connected to who publishes at `addresses`; before `start`."""
        flags = self._flags
        connection_states = (
            None if flags is None else ConnectionStates({address: flags[address] for address in addresses})
        )
        self._add(socket, {address: address for address in addresses}, connection_states)

    def add_beside(self, socket: AnySocket, address: str, publishes_at: str) -> None:
        """Watch a socket that will be connected to `address`, beside who publishes; before `start`."""
        self._add(socket, {address: publishes_at}, None)

    def _add(
        self, socket: AnySocket, publishing: Mapping[str, str], connection_states: ConnectionStates | None
    ) -> None:
        monitor = Monitor(self._context, socket, sum(EVENTS))
        self._watched.append(_Watched(socket, monitor, publishing, connection_states))

    def start(self) -> None:
        """Watch from now on; what happened since a socket was added is not missed."""
        self._thread.start()

    def fileno(self) -> int:
        """Readable while `lost` has something to return."""
        return self._reader

    def lost(self) -> list[Lost]:
        """Return, once, which connections are to be made anew."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)
        lost: list[Lost] = []
        with contextlib.suppress(queue.Empty):
            while True:
                lost.append(self._lost.get_nowait())
        return lost

    def close(self) -> None:
        """Watch no more; before the sockets are closed."""
        for watched in self._watched:
            with contextlib.suppress(zmq.ZMQError):
                watched.socket.disable_monitor()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)
        else:
            for watched in self._watched:
                watched.monitor.close()
        if not self._thread.is_alive():
            os.close(self._reader)
            os.close(self._writer)

    # In the thread

    def _run(self) -> None:
        open_ones = {watched.monitor.socket: watched for watched in self._watched}
        poller = zmq.Poller()
        for monitor in open_ones:
            poller.register(monitor, zmq.POLLIN)
        look_s = time.monotonic() + LOOK_S
        while open_ones:
            for monitor, _ in poller.poll(max(0, round(1e3 * (look_s - time.monotonic())))):
                if not open_ones[monitor].take():
                    poller.unregister(monitor)
                    open_ones.pop(monitor).monitor.close()
            if time.monotonic() >= look_s:
                look_s = time.monotonic() + LOOK_S
                for watched in open_ones.values():
                    self._look(watched)

    def _look(self, watched: _Watched) -> None:
        for given_up in watched.given_up.look():
            publishes_at = watched.publishing[given_up.address]
            who = publishes_at if self._flags is None else f"{self._flags[publishes_at]} {publishes_at}"
            beside = "" if given_up.address == publishes_at else f" at {given_up.address}, for retransmission,"
            text = f"{who}: the connection{beside} was broken off: {BROKE_OFF}"
            if given_up.first and self._flags is not None:
                log.warning("%s; connecting again, after 1 s and later after up to 1 min", text)
            reason = text if given_up.stood else None
            self._lost.put(Lost(watched.socket, given_up.address, publishes_at, reason))
            with contextlib.suppress(BlockingIOError):
                os.write(self._writer, b"\0")
        if watched.connection_states is not None:
            for said in watched.connection_states.look(heard=self._heard()):
                log.log(said.level, said.text)
