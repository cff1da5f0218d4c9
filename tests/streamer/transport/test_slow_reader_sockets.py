"""A reader that stops reading costs a bounded number of bytes, and the reader beside it misses nothing."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.messages import Chunk, Kind, SlowReader, Subscription
from streamer.transport import connection_guard
from streamer.transport.connection_guard import ConnectionGuard
from streamer.transport.transport import Transport

BOUND_MS = 60_000
MEMORY_BYTES = 2**28  # so 16 MiB may wait for readers
SENT = 1_500
VALUES = np.zeros((1, 2**13, 2), np.float32)  # 64 KiB
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + bytes(32)
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"

pytestmark = pytest.mark.skipif(not ConnectionGuard.available, reason="the system does not tell what goes out")


@pytest.fixture(params=["tcp", "ipc"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"ipc://{os.path.relpath(tmp_path / 's')}" if request.param == "ipc" else "tcp://127.0.0.1:*"


@contextlib.contextmanager
def stopped_reader(publisher: Transport) -> Iterator[socket.socket]:
    """A reader that subscribes to everything, over few bytes of the system's, and then reads nothing."""
    assert publisher.address is not None
    tcp = publisher.address.startswith("tcp")
    with socket.socket(socket.AF_INET if tcp else socket.AF_UNIX) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        raw.settimeout(BOUND_MS / 1e3)
        place = publisher.address.partition("://")[2]
        raw.connect(("127.0.0.1", int(place.rpartition(":")[2])) if tcp else place)
        raw.sendall(GREETING + READY)
        answer = b""
        while b"READY" not in answer:
            answer += raw.recv(1_000)
        raw.sendall(b"\x00\x01\x01")
        hear(publisher, 1)
        yield raw


def hear(publisher: Transport, count: int) -> None:
    came = 0
    for _ in range(BOUND_MS // 10):
        publisher.wait(10)
        came += sum(isinstance(message, Subscription) for message in publisher.receive())
        if came >= count:
            return
    raise AssertionError(f"{came} of {count} subscriptions")


def chunk(seq: int) -> Chunk:
    return Chunk(Kind.ESTIMATE, "demo", 1, seq * 2**13, 0, 100.0, VALUES.reshape(2**13, 1, 2))


class Beside(threading.Thread):
    """Reads all that is published."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(daemon=True)
        self.seqs: list[int] = []
        self._transport = transport

    def run(self) -> None:
        while len(self.seqs) < SENT and self._transport.wait(BOUND_MS):
            self.seqs += [one.seq for one in self._transport.receive() if isinstance(one, Chunk)]


@pytest.mark.parametrize("back_pressure", [False, True])
def test_a_reader_that_stops_is_cut_off_and_the_one_beside_it_misses_nothing(
    address: str, back_pressure: bool
) -> None:
    with (
        Transport(bind=address, back_pressure=back_pressure, memory_bytes=MEMORY_BYTES) as publisher,
        stopped_reader(publisher) as stopped,
    ):
        assert publisher.address is not None
        with Transport(connect=[publisher.address], topics=[b""]) as transport:
            hear(publisher, 1)
            beside = Beside(transport)
            beside.start()
            dropped: list[SlowReader] = []
            for seq in range(SENT):
                publisher.send(chunk(seq))
                assert publisher._in_flight.bytes <= publisher._in_flight.limit_bytes + VALUES.nbytes
                if publisher._in_flight.pressed():
                    threading.Event().wait(0.02)  # on a busy machine, time for who is behind to be cut off
                if not back_pressure:
                    wait_until_it_has_read(beside, seq - 20)
                dropped += [one for one in publisher.receive() if isinstance(one, SlowReader)]
            beside.join(BOUND_MS / 1e3)
        assert beside.seqs == [seq * 2**13 for seq in range(SENT)]
        assert len(dropped) == 1
        assert "a connection was dropped: it " in dropped[0].reason
        with contextlib.suppress(ConnectionError):
            while stopped.recv(2**20):
                pass


def wait_until_it_has_read(beside: Beside, count: int) -> None:
    """A publisher that does not wait stands for one that is paced."""
    done = threading.Event()
    for _ in range(BOUND_MS // 4):
        if len(beside.seqs) > count:
            return
        done.wait(0.001)
    raise AssertionError(f"{len(beside.seqs)} of {count} read")


def test_without_a_guard_what_is_large_is_bounded_and_what_is_dropped_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_guard.ConnectionGuard, "available", False)
    with (
        Transport(bind="tcp://127.0.0.1:*", memory_bytes=MEMORY_BYTES) as publisher,
        stopped_reader(publisher),
    ):
        for seq in range(SENT):
            publisher.send(chunk(seq))
            assert publisher._in_flight.bytes <= publisher._in_flight.limit_bytes
        dropped = [one for one in publisher.receive() if isinstance(one, SlowReader)]
        assert dropped
        assert "a message on estimate/demo/ was dropped" in dropped[0].reason
