"""Ports for processes that answer replays a thousand above the one they publish on.

A port that is handed out stays reserved: a socket is bound to it that never listens. Bound without SO_REUSEADDR,
it shows that nobody else has the port; given the option afterwards, it lets a process that sets it (as ours and
ZeroMQ's do) bind the port and listen, again and again. So nobody who looks for a free port takes it in between.
"""

import atexit
import secrets
import socket
from collections import deque

REPLAY_OFFSET = 1000
FIRST, LAST = 20_000, 30_000  # below the range from which the system itself takes ports for connections
MAX_RESERVED = 64  # pairs; more than any test needs at a time

_reserved: deque[tuple[socket.socket, ...]] = deque()


def _reserve(port: int) -> socket.socket | None:
    """Return what holds a port; None if somebody has it."""
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return None
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder


def _release() -> None:
    for holder in _reserved.popleft():
        holder.close()


@atexit.register
def _release_all() -> None:
    while _reserved:
        _release()


class Ports:
    """Hands out free ports whose replay port is free too, none of them twice."""

    def __call__(self) -> int:
        """Return a free port."""
        while True:
            port = FIRST + secrets.randbelow(LAST - FIRST)
            first = _reserve(port)
            if first is None:
                continue
            second = _reserve(port + REPLAY_OFFSET)
            if second is None:
                first.close()
                continue
            if len(_reserved) == MAX_RESERVED:
                _release()
            _reserved.append((first, second))
            return port

    def address(self) -> str:
        """Return a free address on this machine."""
        return f"tcp://127.0.0.1:{self()}"
