"""Ports for processes that answer replays a thousand above the one they publish on."""

import secrets
import socket

REPLAY_OFFSET = 1000
FIRST, LAST = 20_000, 30_000  # below the range from which the system itself takes ports for connections


def bindable(port: int) -> bool:
    """Return whether nobody has bound `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """Hands out free ports whose replay port is free too, none of them twice."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def __call__(self) -> int:
        """Return a free port."""
        while True:
            port = FIRST + secrets.randbelow(LAST - FIRST)
            pair = {port, port + REPLAY_OFFSET}
            if not pair & self._taken and all(map(bindable, pair)):
                self._taken |= pair
                return port

    def address(self) -> str:
        """Return a free address on this machine."""
        return f"tcp://127.0.0.1:{self()}"
