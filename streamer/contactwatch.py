"""The thread that watches connections, so that nobody waits in silence for a peer who is not there."""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping

import zmq
from zmq.utils.monitor import parse_monitor_message

from streamer.contacts import LOOK_S, Contacts, Event
from streamer.frames import AnySocket

log = logging.getLogger("sincos")

EVENTS = {
    zmq.EVENT_CONNECT_DELAYED: Event.TRIED,
    zmq.EVENT_CLOSED: Event.REFUSED,
    zmq.EVENT_CONNECTED: Event.ACCEPTED,
    zmq.EVENT_HANDSHAKE_SUCCEEDED: Event.STANDS,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: Event.WRONG_KEY,
    zmq.EVENT_DISCONNECTED: Event.GONE,
}
JOIN_S = 5.0

_numbers = itertools.count()


class ContactWatch:
    """Watches a socket's connections until `close`.

    Parameters
    ----------
    context : zmq.Context
    socket : zmq.Socket
        Not connected yet, or what happens first is missed.
    flags : mapping
        The flag that each address to connect to was given with.
    heard : callable
        Return whether a message has come through the socket.
    """

    def __init__(
        self, context: "zmq.Context[AnySocket]", socket: AnySocket, flags: Mapping[str, str],
        heard: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._socket = socket
        self._contacts = Contacts(flags)
        self._heard = heard
        self._endpoint = f"inproc://contacts-{next(_numbers)}"
        socket.monitor(self._endpoint, sum(EVENTS) | zmq.EVENT_MONITOR_STOPPED)
        self._thread = threading.Thread(target=self._run, args=(context,), name="contacts", daemon=True)
        self._thread.start()

    def _run(self, context: "zmq.Context[AnySocket]") -> None:
        with context.socket(zmq.PAIR) as events:
            events.setsockopt(zmq.LINGER, 0)
            events.setsockopt(zmq.RCVHWM, 0)  # ZeroMQ's own thread must never wait for this one
            events.connect(self._endpoint)
            look_s = time.monotonic() + LOOK_S
            while self._take(events, look_s):
                if time.monotonic() >= look_s:
                    look_s = time.monotonic() + LOOK_S
                    for said in self._contacts.look(heard=self._heard()):
                        log.log(said.level, said.text)

    def _take(self, events: AnySocket, until_s: float) -> bool:
        """Take events until then; return whether there will be more."""
        while events.poll(max(0, round(1e3 * (until_s - time.monotonic())))):
            event = parse_monitor_message(events.recv_multipart())
            kind = zmq.Event(event["event"])
            if kind == zmq.EVENT_MONITOR_STOPPED:
                return False
            if kind in EVENTS:
                self._contacts.event(event["endpoint"].decode(errors="replace"), EVENTS[kind])
        return True

    def close(self) -> None:
        """Watch no more; before the socket is closed."""
        with contextlib.suppress(zmq.ZMQError):
            self._socket.disable_monitor()
        self._thread.join(JOIN_S)
