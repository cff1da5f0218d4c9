"""Connections that flood a publisher are cut off; everybody else keeps theirs."""

import contextlib
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer.messages import Incoming, Info, Kind, Rejected, Replay, Request, Subscription
from streamer.transport import connection_guard
from streamer.transport.addresses import replay_address
from streamer.transport.connection_guard import ConnectionGuard
from streamer.transport.retransmit_sockets import REQUEST_LIMIT
from streamer.transport.subscriptions import SUBSCRIPTION_LIMIT
from streamer.transport.transport import Transport
from streamer.wire import codec

BOUND_MS = 60_000
INFO = Info("demo", 1, 0, 0, 100.0, ("0",))
WANTED = Replay(Kind.INPUT, "demo", 1, 0, 10)
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + bytes(32)

pytestmark = pytest.mark.skipif(not ConnectionGuard.available, reason="the system does not count what comes in")


@pytest.fixture(params=["tcp", "tcp6", "ipc"])
def publisher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    path = os.path.relpath(tmp_path / "s")
    address = {"tcp": "tcp://127.0.0.1:*", "tcp6": "tcp://[::1]:*", "ipc": f"ipc://{path}"}[request.param]
    with Transport(bind=address, answers=True) as transport:
        yield transport


def connect(address: str) -> socket.socket:
    if address.startswith("ipc"):
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(BOUND_MS / 1_000)
        raw.connect(address.removeprefix("ipc://"))
        return raw
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=BOUND_MS / 1_000)


def frames(*parts: bytes) -> bytes:
    return b"".join(bytes([place < len(parts) - 1, len(part)]) + part for place, part in enumerate(parts))


def subscriptions() -> bytes:
    return b"".join(frames(b"\1" + os.urandom(16)) for _ in range(500))


def cancellations() -> bytes:
    return b"".join(frames(b"\0" + os.urandom(16)) for _ in range(500))


def requests() -> bytes:
    return frames(*codec.encode(WANTED)) * 100


def flood(address: str, kind: bytes, content: Callable[[], bytes]) -> int:
    """Send without end as a ZeroMQ socket of that kind; return how much was taken until the connection was cut."""
    ready = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    sent = 0
    with connect(address) as raw:
        raw.sendall(GREETING + bytes([4, len(ready)]) + ready)
        answer = b""
        while b"READY" not in answer:
            answer += raw.recv(1_000)
        with contextlib.suppress(ConnectionError):
            while sent < 2**30:
                block = content()
                raw.sendall(block)
                sent += len(block)
    return sent


def until(
    transport: Transport, enough: Callable[[list[Incoming]], bool], others: tuple[Transport, ...] = ()
) -> None:
    messages: list[Incoming] = []
    for _ in range(BOUND_MS // 10):
        transport.wait(10)
        messages += transport.receive()
        if enough(messages):
            return
        for other in others:
            other.wait(0)
    raise AssertionError(f"not heard: {messages[-3:]}")


@pytest.mark.parametrize(
    ("kind", "content", "limit_bytes"),
    [
        (b"SUB", subscriptions, SUBSCRIPTION_LIMIT.burst_bytes),
        (b"SUB", cancellations, SUBSCRIPTION_LIMIT.burst_bytes),
        (b"DEALER", requests, REQUEST_LIMIT.burst_bytes),
    ],
    ids=["subscriptions", "cancelled subscriptions", "requests"],
)
def test_who_floods_is_cut_off_and_nobody_else(
    publisher: Transport, kind: bytes, content: Callable[[], bytes], limit_bytes: int
) -> None:
    assert publisher.address is not None
    target = publisher.address if kind == b"SUB" else replay_address(publisher.address)
    with Transport(connect=[publisher.address], topics=[b"info/"], asks=True) as honest:
        until(publisher, lambda messages: Subscription(b"info/", active=True) in messages)
        sent: list[int] = []
        attack = threading.Thread(target=lambda: sent.append(flood(target, kind, content)), daemon=True)
        attack.start()
        until(
            publisher,
            lambda messages: any(isinstance(one, Rejected) and "dropped" in one.reason for one in messages),
        )
        attack.join(BOUND_MS / 1_000)
        assert limit_bytes // 2 < sent[0] < 100 * 2**20
        publisher.send(INFO)
        assert honest.wait(BOUND_MS)
        assert honest.receive() == [INFO], "it kept its connection: nothing that was published is missing"
        honest.ask(WANTED)
        until(publisher, lambda messages: any(isinstance(one, Request) for one in messages), (honest,))


def test_connections_beyond_what_fits_are_refused_and_the_first_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_guard, "most_connections", lambda: 3)
    with Transport(bind="tcp://127.0.0.1:*") as publisher:
        assert publisher.address is not None
        with Transport(connect=[publisher.address], topics=[b"info/"]) as honest:
            until(publisher, lambda messages: bool(messages))
            with contextlib.ExitStack() as stack:
                for number in range(20):
                    try:
                        idle = stack.enter_context(connect(publisher.address))
                        while number >= 3 and idle.recv(
                            1_000
                        ):  # of those that come first, one may still be let in
                            pass
                    except ConnectionError:  # ended before it had begun: refused too
                        assert number >= 3
                publisher.send(INFO)
                assert honest.wait(BOUND_MS)
                assert honest.receive() == [INFO]


def test_no_more_connections_than_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (in_use + 116, in_use + 116))
    assert 45 <= connection_guard.most_connections() <= 50
    monkeypatch.setattr(resource, "getrlimit", lambda _: (16, 16))
    assert connection_guard.most_connections() == connection_guard.MIN_CONNECTIONS


def test_a_number_that_is_another_files_by_now_is_left_alone(tmp_path: Path) -> None:
    with Transport(bind="tcp://127.0.0.1:*") as publisher:
        listener = publisher._pub_listener
        assert listener is not None
        ours, theirs = socket.socketpair()
        with ours, theirs, (tmp_path / "file").open("w") as file:
            for descriptor in (ours.fileno(), file.fileno(), 10**6):
                assert not connection_guard._shut(descriptor, listener)
            ours.sendall(b"x")
            assert theirs.recv(1) == b"x"


def test_limits_leave_room_for_what_is_promised() -> None:
    """A reader of each of 2,500 streams; a reader of a few topics of which nobody's flood takes anything."""
    subscription = 2 + 1 + len(b"estimate/stream-0000/")
    assert 2_500 * subscription < SUBSCRIPTION_LIMIT.burst_bytes
    greeting, hello, initiate = 64, 202, 400  # of CURVE, which adds 33 bytes to each message
    assert greeting + hello + initiate + 5 * (subscription + 33) < SUBSCRIPTION_LIMIT.little_bytes


def test_in_a_pause_new_connections_wait_and_old_ones_go_on() -> None:
    with Transport(bind="tcp://127.0.0.1:*") as publisher:
        assert publisher.address is not None
        assert publisher._pub_listener is not None
        with connect(publisher.address) as early:
            assert early.recv(1)
            publisher._pub_listener.pause(True)
            with pytest.raises(TimeoutError):
                socket.create_connection(early.getpeername(), timeout=0.2)
            early.sendall(GREETING)
            assert early.recv(1)
            publisher._pub_listener.pause(False)
            with connect(publisher.address) as late:
                assert late.recv(1)
