"""Who gets in: over real sockets, with ZeroMQ's traps shown to be there and shut."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from streamer.errors import AddressError, FileError
from streamer.messages import Info, Kind, Replay, Request, Subscription
from streamer.transport import connection_watch, curve, keys
from streamer.transport.keys import Authorised, Keys
from streamer.transport.transport import Transport
from tests.support.bounded import bounded_context

BOUND_MS = 10_000
LOCAL = "tcp://127.0.0.1:*"
INFO = Info("demo", 1, 0, 0, 100.0, ("0",))
HEARD = Subscription(b"", active=True)

AnySocket = zmq.Socket[bytes]


def made(folder: Path) -> Keys:
    keys.make(folder)
    return keys.load(folder)


@pytest.fixture
def server(tmp_path: Path) -> Keys:
    return made(tmp_path / "server")


@pytest.fixture
def context() -> Iterator["zmq.Context[AnySocket]"]:
    with bounded_context() as context:
        yield context


def friend_of(server: Keys, name: str = "friend") -> Keys:
    """Someone whom the server lets in, and who knows the server."""
    friend = made(server.folder.parent / name)
    shutil.copy(friend.folder / "own.key", server.folder / "authorised" / f"{name}.key")
    shutil.copy(server.folder / "own.key", friend.folder / "servers" / "127.0.0.1.key")
    return friend


def listening(transport: Transport, keys: Keys) -> Transport:
    assert transport.address is not None
    return Transport(connect=[transport.address], topics=[b""], keys=keys)


def test_a_friend_hears_what_is_said(server: Keys) -> None:
    friend = friend_of(server)
    with Transport(bind=LOCAL, keys=server) as publisher, listening(publisher, friend) as listener:
        assert publisher.wait(BOUND_MS)
        assert publisher.receive() == [HEARD]
        publisher.send(INFO)
        assert listener.wait(BOUND_MS)
        assert listener.receive() == [INFO]


def test_two_processes_of_one_machine_may_have_keys_of_their_own(server: Keys) -> None:
    friend = friend_of(server)
    other = made(server.folder.parent / "other")
    shutil.copy(friend.folder / "own.key", other.folder / "authorised" / "friend.key")
    with (
        Transport(bind=LOCAL, keys=server, answers=True) as first,
        Transport(bind=LOCAL, keys=other, answers=True) as second,
    ):
        assert first.address is not None
        assert second.address is not None
        port = second.address.rpartition(":")[2]
        shutil.copy(other.folder / "own.key", friend.folder / "servers" / f"127.0.0.1:{port}.key")
        wanted = Replay(Kind.INPUT, "demo", 1, 0, 5)
        with Transport(connect=[first.address, second.address], topics=[b""], asks=True, keys=friend) as listener:
            for publisher in (first, second):
                assert publisher.wait(BOUND_MS)
                assert publisher.receive() == [HEARD]
            for _ in range(100):  # a request is lost where the connection is not there yet
                listener.ask(wanted)
                if first.wait(100) and second.wait(100):
                    break
            for publisher in (first, second):
                assert {one.replay for one in publisher.receive() if isinstance(one, Request)} == {wanted}


@pytest.mark.parametrize("who", ["a key that is not authorised", "the wrong server key", "no keys at all"])
def test_strangers_are_turned_away(server: Keys, context: "zmq.Context[AnySocket]", who: str) -> None:
    friend = friend_of(server)
    with Transport(bind=LOCAL, keys=server) as publisher, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        pair = zmq.curve_keypair() if who.startswith("a key") else (friend.public, friend.secret)
        if who != "no keys at all":
            socket.setsockopt(zmq.CURVE_PUBLICKEY, pair[0])
            socket.setsockopt(zmq.CURVE_SECRETKEY, pair[1])
            wrong = who == "the wrong server key"
            socket.setsockopt(zmq.CURVE_SERVERKEY, zmq.curve_keypair()[0] if wrong else server.public)
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        socket.subscribe(b"")
        socket.connect(publisher.address or "")
        assert monitor.poll(BOUND_MS)
        assert recv_monitor_message(monitor)["event"] == zmq.EVENT_DISCONNECTED
        assert publisher.receive() == []
        socket.disable_monitor()
        monitor.close(linger=0)


def test_who_was_turned_away_comes_back_once_its_key_is_authorised(
    server: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_watch, "LOOK_S", 0.05)
    friend = friend_of(server)
    invitation = server.folder / "authorised" / "friend.key"
    invitation.rename(server.folder / "later.key")
    with Transport(bind=LOCAL, keys=server) as publisher, listening(publisher, friend) as listener:
        for _ in range(2):
            assert listener.wait(BOUND_MS)  # it is turned away, which ZeroMQ takes for final
            assert listener.receive() == []
        (server.folder / "later.key").rename(invitation)
        publisher.reload()
        for _ in range(BOUND_MS // 50):
            listener.wait(50)
            listener.receive()
            if publisher.wait(0) and HEARD in publisher.receive():
                return
        raise AssertionError("it never came")


def bound(context: "zmq.Context[AnySocket]", server: Keys, domain: bytes, *, enforced: bool) -> AnySocket:
    """A CURVE server as one would set it up from the manual's first page."""
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, server.secret)
    if domain:
        socket.setsockopt(zmq.ZAP_DOMAIN, domain)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, enforced)
    socket.bind(LOCAL)
    return socket


def knock(socket: AnySocket, server: Keys) -> int | None:
    return curve._probe(socket.getsockopt_string(zmq.LAST_ENDPOINT), server.public)


def test_the_traps_are_there(server: Keys, context: "zmq.Context[AnySocket]") -> None:
    with bound(context, server, b"sincos", enforced=False) as unguarded:
        assert knock(unguarded, server) == curve._LET_IN
    guard = curve.CurveAuth(context, server)
    try:
        with bound(context, server, b"", enforced=True) as nameless:
            assert knock(nameless, server) == curve._LET_IN
        with bound(context, server, curve.DOMAIN, enforced=True) as guarded:
            assert knock(guarded, server) == curve._REFUSED
    finally:
        guard.close()


def test_a_guard_that_lets_anybody_in_is_found_before_anything_is_said(
    server: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve.CurveAuth, "callback", lambda *_: True)
    with pytest.raises(AddressError, match="a random key was not turned away"):
        Transport(bind=LOCAL, keys=server)


def test_who_is_revoked_hears_no_more_and_the_others_come_back(server: Keys) -> None:
    friend, other = friend_of(server), friend_of(server, "other")
    with Transport(bind=LOCAL, keys=server) as publisher, listening(publisher, friend) as revoked:
        assert publisher.wait(BOUND_MS)
        assert publisher.receive() == [HEARD]
        (server.folder / "authorised" / "friend.key").unlink()
        publisher.send(INFO)
        assert revoked.wait(BOUND_MS), "a connection that was made goes on until the socket is rebuilt"
        assert revoked.receive() == [INFO]
        with listening(publisher, other) as welcome:
            assert publisher.wait(BOUND_MS)
            assert publisher.receive() == [HEARD]
            assert publisher.reload() == Authorised(frozenset([other.public]))
            for _ in range(BOUND_MS // 20):
                welcome.wait(20)  # a listener comes back while it waits
                revoked.wait(0)
                if publisher.wait(0):
                    break
            assert publisher.receive() == [HEARD], "one listener came back"
            publisher.send(INFO)
            assert welcome.wait(BOUND_MS)
            assert welcome.receive() == [INFO]
            assert revoked.receive() == []


def test_who_is_revoked_beside_a_damaged_file_hears_no_more(server: Keys) -> None:
    """A damaged file lets nobody in and is named; it used to keep all keys in force."""
    friend = friend_of(server)
    with Transport(bind=LOCAL, keys=server) as publisher, listening(publisher, friend) as revoked:
        assert publisher.wait(BOUND_MS)
        publisher.receive()
        (server.folder / "authorised" / "broken.key").write_text("hello")
        (server.folder / "authorised" / "friend.key").unlink()
        authorised = publisher.reload()
        assert authorised is not None
        assert authorised.keys == frozenset()
        (problem,) = authorised.unreadable
        assert "broken.key: cannot be read" in problem
        publisher.send(INFO)
        assert not revoked.wait(200)


def test_a_damaged_key_at_the_start_is_an_error(server: Keys) -> None:
    (server.folder / "authorised" / "broken.key").write_text("hello")
    with pytest.raises(FileError, match=r"broken\.key: cannot be read"):
        Transport(bind=LOCAL, keys=server)


def test_without_keys_nothing_is_reloaded() -> None:
    with Transport(bind=LOCAL) as publisher:
        assert publisher.reload() is None


BEYOND = [
    "tcp://0.0.0.0:0",
    "tcp://*:0",
    "tcp://eth0:5555",
    "tcp://192.168.1.1:5555",
    "tcp://[::]:0",
    "tcp://host:1",
]


@pytest.mark.parametrize("address", BEYOND)
def test_beyond_this_machine_keys_are_demanded(address: str) -> None:
    with pytest.raises(AddressError, match=r"cannot bind .* give --keys DIR"):
        Transport(bind=address)
    if "*" not in address:
        with pytest.raises(AddressError, match=r"cannot connect .* give --keys DIR"):
            Transport(connect=[address], topics=[b""])


def test_beyond_this_machine_one_may_insist() -> None:
    with Transport(bind="tcp://0.0.0.0:0", insecure=True) as publisher:
        assert publisher.address is not None


def test_the_guard_is_proved_on_all_interfaces_too(server: Keys) -> None:
    with Transport(bind="tcp://0.0.0.0:0", keys=server) as publisher:
        assert publisher.address is not None
