"""Ports that are kept: no connection is dropped at the price of the port."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from streamer.errors import AddressError
from streamer.messages import Incoming, Info, Kind, Replay, Request, Subscription
from streamer.transport import keys, listening_socket
from streamer.transport.addresses import replay_address, split_tcp
from streamer.transport.keys import Authorised, Keys
from streamer.transport.transport import Transport

BOUND_MS = 10_000
INFO = Info("demo", 1, 0, 0, 100.0, ("0",))
HEARD = Subscription(b"", active=True)
WANTED = Replay(Kind.INPUT, "demo", 1, 0, 1)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def server(tmp_path: Path) -> Keys:
    keys.make(tmp_path / "server")
    return keys.load(tmp_path / "server")


def friend_of(server: Keys, host: str) -> Keys:
    folder = server.folder.parent / "friend"
    keys.make(folder)
    shutil.copy(folder / "own.key", server.folder / "authorised" / "friend.key")
    shutil.copy(server.folder / "own.key", folder / "servers" / f"{host}.key")
    return keys.load(folder)


def heard(transport: Transport, what: object, *awake: Transport) -> list[Incoming]:
    """What comes in until `what` does, while others look after their sockets, as in their waits."""
    messages: list[Incoming] = []
    for _ in range(BOUND_MS // 20):
        for other in awake:
            other.wait(0)
        if transport.wait(20):
            messages += transport.receive()
        if what in messages:
            return messages
    raise AssertionError(f"{what} did not come among {len(messages)} messages")


class Squatter:
    """Somebody who tries again and again to bind a port."""

    def __init__(self, address: str) -> None:
        host, port = split_tcp(address)
        self._place = (host, int(port))
        self.taken = False
        self._tries = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set() and not self.taken:
            with socket.socket() as greedy:
                greedy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    greedy.bind(self._place)
                    greedy.listen()
                    self.taken = True
                except OSError:
                    pass
            self._tries += 1

    def __enter__(self) -> "Squatter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(BOUND_MS / 1e3)
        assert self._tries


def test_nobody_gets_the_port_while_keys_are_reloaded(server: Keys) -> None:
    with Transport(bind="tcp://127.0.0.1:*", answers=True, keys=server) as publisher:
        assert publisher.address is not None
        with Squatter(publisher.address) as first, Squatter(replay_address(publisher.address)) as second:
            for _ in range(20):
                assert publisher.reload() == Authorised(frozenset())
        assert not first.taken
        assert not second.taken
        publisher.send(INFO)


def test_old_sockets_go_on_where_new_ones_cannot_be_had(server: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    friend = friend_of(server, "127.0.0.1")
    with Transport(bind="tcp://127.0.0.1:*", answers=True, keys=server) as publisher:
        assert publisher.address is not None
        with Transport(connect=[publisher.address], topics=[b""], keys=friend) as listener:
            heard(publisher, HEARD)
            (server.folder / "authorised" / "friend.key").unlink()
            real = listening_socket.Listener.duplicate
            duplicates: list[int] = []

            def exhausted(listener: listening_socket.Listener) -> int:
                if duplicates:
                    raise AddressError("too many open files")
                duplicates.append(real(listener))
                return duplicates[0]

            monkeypatch.setattr(listening_socket.Listener, "duplicate", exhausted)
            with pytest.raises(AddressError, match="too many open files"):
                publisher.reload()
            publisher.send(INFO)
            heard(listener, INFO)
            with Transport(connect=[publisher.address], topics=[b"info/"], keys=friend) as again:
                heard(publisher, Subscription(b"info/", active=True), again)
            monkeypatch.undo()
            assert publisher.reload() == Authorised(frozenset())


@pytest.fixture(params=["ipc", "tcp", pytest.param("tcp6", marks=needs_ipv6)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {
        "ipc": f"ipc://{os.path.relpath(tmp_path / 's')}",
        "tcp": "tcp://127.0.0.1:*",
        "tcp6": "tcp://[::1]:*",
    }[request.param]


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    with zmq.Context() as context:
        yield context


@needs_ipv6
@pytest.mark.parametrize("secured", [False, True])
def test_ipv6_both_ways(server: Keys, secured: bool) -> None:
    friend = friend_of(server, "::1")
    ours, theirs = (server, friend) if secured else (None, None)
    with Transport(bind="tcp://[::1]:*", answers=True, keys=ours) as publisher:
        assert publisher.address is not None
        assert publisher.address.startswith("tcp://[::1]:")
        with Transport(connect=[publisher.address], topics=[b""], asks=True, keys=theirs) as listener:
            heard(publisher, HEARD)
            publisher.send(INFO)
            heard(listener, INFO)
            for _ in range(BOUND_MS // 20):
                listener.ask(WANTED)
                publisher.wait(20)
                requests = [one for one in publisher.receive() if isinstance(one, Request)]
                if requests:
                    break
            publisher.reply(requests[0].peer, INFO)
            assert listener.wait(BOUND_MS)
            if secured:
                assert len(publisher.reload().keys) == 1
                heard(publisher, HEARD, listener)


@needs_ipv6
def test_all_interfaces_of_ipv6_are_reached_by_ipv4_too() -> None:
    with Transport(bind="tcp://[::]:*", insecure=True) as publisher:
        assert publisher.address is not None
        port = split_tcp(publisher.address)[1]
        for host in ("127.0.0.1", "[::1]"):
            with Transport(connect=[f"tcp://{host}:{port}"], topics=[b""]):
                heard(publisher, HEARD)


@pytest.mark.parametrize("address", ["tcp://::1:5555", "tcp://[::1:5555", "tcp://[]:5", "tcp://[localhost]:5555"])
@pytest.mark.parametrize("verb", ["bind", "connect"])
def test_an_ipv6_address_without_its_brackets_is_refused(verb: str, address: str) -> None:
    arguments = {"bind": address} if verb == "bind" else {"connect": [address]}
    with pytest.raises(AddressError, match="brackets"):
        Transport(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "lo"])
def test_a_host_may_be_bound_by_name(host: str) -> None:
    with Transport(bind=f"tcp://{host}:*", insecure=True) as publisher:
        assert publisher.address is not None
        assert publisher.address.startswith("tcp://127.0.0.1:")


def test_pairs_are_tried_until_both_ports_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    beside = listening_socket.replay_address

    def taken_twice(address: str) -> str:
        tried.append(address)
        return address if len(tried) < 3 else beside(address)

    monkeypatch.setattr(listening_socket, "replay_address", taken_twice)
    first, second = listening_socket.listen_with_replay("tcp://127.0.0.1:*")
    assert second.address == beside(first.address)
    assert tried[-1] == first.address
    assert len(tried) == 3
    for listener in (first, second):
        listener.close()


def test_the_file_of_an_ipc_address_goes_with_its_owner_and_no_other(tmp_path: Path) -> None:
    path = Path(os.path.relpath(tmp_path / "s"))
    listener = listening_socket.listen(f"ipc://{path}")
    assert path.is_socket()
    listener.close()
    assert not path.exists()
    listener = listening_socket.listen(f"ipc://{path}")
    path.unlink()
    path.write_text("another's")
    listener.close()
    assert path.read_text() == "another's"
