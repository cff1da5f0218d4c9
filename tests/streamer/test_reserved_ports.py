"""The ports that tests hand to processes: nobody else finds them free, and the process may bind them again."""

import socket

import pytest

from streamer.transport.listening_socket import listen_with_replay
from tests.support.ports import Ports


def test_a_port_handed_out_is_taken_by_nobody_who_looks_for_a_free_one() -> None:
    ports = Ports()
    port = ports()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    for _ in range(3):  # also by a process that is started again
        for listener in listen_with_replay(f"tcp://127.0.0.1:{port}"):
            listener.close()
