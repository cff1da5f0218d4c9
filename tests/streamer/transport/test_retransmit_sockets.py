"""Asking and answering over real sockets: few tests, of what the cores take for granted."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zmq

from streamer.errors import AddressError
from streamer.messages import Burst, Chunk, Gone, Incoming, Kind, Rejected, Replay, Request
from streamer.transport import endpoints, keys
from streamer.transport.addresses import replay_address
from streamer.transport.keys import Keys
from streamer.transport.retransmit_sockets import ANSWERS_HIGH_WATER_MARK
from streamer.transport.transport import Transport
from streamer.wire import codec
from tests.support.bounded import bounded_context

BOUND_MS = 10_000
LOCAL = "tcp://127.0.0.1:*"
WANTED = Replay(Kind.INPUT, "demo", 1, 3, 40)
GONE = Gone(Kind.INPUT, "demo", 1, 0, 3)


def chunk(seq: int, samples: int = 1) -> Chunk:
    return Chunk(Kind.INPUT, "demo", 1, seq, 0, 100.0, np.full((samples, 1, 1), seq, np.float32), 0, seq)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"ipc://{os.path.relpath(tmp_path / 's')}"


def heard(transport: Transport, enough: Callable[[list[Incoming]], bool]) -> list[Incoming]:
    messages: list[Incoming] = []
    while not enough(messages):
        assert transport.wait(BOUND_MS), f"nothing came after {messages[-3:]}"
        messages += transport.receive()
    return messages


def asked(asker: Transport, answerer: Transport, wanted: Replay = WANTED) -> Request:
    """Ask until it is heard: of requests to somebody not yet connected, only some are kept."""
    for _ in range(BOUND_MS // 20):
        asker.ask(wanted)
        asker.wait(1)
        if answerer.wait(20):
            requests = [one for one in answerer.receive() if isinstance(one, Request)]
            if requests:
                return requests[0]
    raise AssertionError("nobody was heard to ask")


@pytest.mark.parametrize(
    ("address", "beside"),
    [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:6555"),
        ("tcp://[::1]:5556", "tcp://[::1]:6556"),
        ("tcp://127.0.0.1:64535", "tcp://127.0.0.1:65535"),
        ("tcp://127.0.0.1:64536", "tcp://127.0.0.1:63536"),
        ("tcp://eth0:65535", "tcp://eth0:64535"),
        ("ipc:///tmp/s", "ipc:///tmp/s.replay"),
    ],
)
def test_where_replays_are_answered(address: str, beside: str) -> None:
    assert replay_address(address) == beside


@pytest.mark.parametrize("together", [False, True])
def test_samples_are_asked_for_and_answered(address: str, together: bool) -> None:
    with (
        Transport(bind=address, answers=True) as source,
        Transport(connect=[address], topics=[b"input/"], asks=True, together=together) as reader,
    ):
        peer = asked(reader, source)
        assert peer.replay == WANTED
        source.reply(peer.peer, GONE)
        for seq in range(3, 20):
            source.reply(peer.peer, chunk(seq))
        later = np.arange(20, 43, dtype=np.float32).reshape(-1, 1, 1)
        source.reply(
            peer.peer, Burst(Chunk(Kind.INPUT, "demo", 1, 20, 0, 100.0, later, 0, 20), np.zeros(23, int), 1)
        )

        def samples(messages: list[Incoming]) -> list[int]:
            said = [one.chunk if isinstance(one, Burst) else one for one in messages]
            return [seq for one in said if isinstance(one, Chunk) for seq in range(one.seq, one.end_seq)]

        messages = heard(reader, lambda messages: len(samples(messages)) == 40)
        assert samples(messages) == list(range(3, 43))
        assert messages[0] == GONE
        assert any(isinstance(one, Burst) for one in messages) == together


def test_everybody_is_asked_and_whoever_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    first, second, nobody = (f"ipc://{os.path.relpath(tmp_path / name)}" for name in "abc")
    with (
        Transport(bind=first, answers=True) as one,
        Transport(bind=second, answers=True) as other,
        Transport(connect=[nobody, first, second], topics=[b"input/"], asks=True) as reader,
    ):
        for _ in range(100):
            reader.ask(WANTED)
        for source in (one, other):
            assert asked(reader, source).replay == WANTED


def test_for_each_kind_only_those_are_asked_who_may_have_it(tmp_path: Path) -> None:
    source, predictor = (f"ipc://{os.path.relpath(tmp_path / name)}" for name in "sp")
    whom = {Kind.INPUT: [source], Kind.ESTIMATE: [predictor]}
    with (
        Transport(bind=source, answers=True) as one,
        Transport(bind=predictor, answers=True) as other,
        Transport(connect=[source, predictor], topics=[b"x"], asks=whom) as reader,
    ):
        estimates = replace(WANTED, kind=Kind.ESTIMATE)
        for _ in range(3):
            reader.ask(WANTED)
            reader.ask(estimates)
            reader.ask(replace(WANTED, kind=Kind.TARGET))
        for asker, wanted in ((one, WANTED), (other, estimates)):
            requests = heard(asker, lambda messages: sum(isinstance(m, Request) for m in messages) == 3)
            assert [m.replay for m in requests if isinstance(m, Request)] == [wanted] * 3
            assert not asker.wait(20) or not any(isinstance(m, Request) for m in asker.receive())


def test_one_of_two_who_says_gone_is_not_believed_while_the_other_may_have_it(tmp_path: Path) -> None:
    names = [f"ipc://{os.path.relpath(tmp_path / name)}" for name in "ab"]
    with (
        Transport(bind=names[0], answers=True) as one,
        Transport(bind=names[1], answers=True) as other,
        Transport(connect=names, topics=[b"x"], asks=True) as reader,
    ):
        peers = [asked(reader, source).peer for source in (one, other)]
        one.reply(peers[0], GONE)
        one.reply(peers[0], chunk(3))
        assert [type(m) for m in heard(reader, lambda messages: bool(messages))] == [Chunk]
        other.reply(peers[1], replace(GONE, samples=2))
        assert heard(reader, lambda messages: bool(messages)) == [replace(GONE, samples=2)]


def test_a_message_and_an_answer_come_through_the_same_call(address: str) -> None:
    with (
        Transport(bind=address, answers=True) as source,
        Transport(connect=[address], topics=[b"input/"], asks=True) as reader,
    ):
        heard(source, lambda messages: bool(messages))
        peer = asked(reader, source).peer
        source.send(chunk(9))
        source.reply(peer, chunk(3))
        seqs = [one.seq for one in heard(reader, lambda messages: len(messages) == 2) if isinstance(one, Chunk)]
        assert sorted(seqs) == [3, 9]


@pytest.mark.parametrize(
    "parts",
    [[b""], [b"x"] * 40, codec.encode(chunk(1)), [b"replay/demo/", b"SNCS", b""]],
    ids=["empty", "many parts", "samples", "short"],
)
def test_what_is_no_request_is_rejected(address: str, parts: list[bytes]) -> None:
    with (
        bounded_context() as context,
        Transport(bind=address, answers=True) as source,
        context.socket(zmq.DEALER) as raw,
    ):
        raw.setsockopt(zmq.LINGER, 0)
        raw.connect(replay_address(address))
        raw.send_multipart(parts)
        (message,) = heard(source, lambda messages: bool(messages))
        assert isinstance(message, Rejected)
        raw.send_multipart(codec.encode(WANTED))
        assert isinstance(heard(source, lambda messages: bool(messages))[0], Request)


def test_a_request_too_long_ends_the_connection_and_nothing_else(address: str) -> None:
    with (
        bounded_context() as context,
        Transport(bind=address, answers=True) as source,
        Transport(connect=[address], topics=[b"x"], asks=True) as honest,
    ):
        with context.socket(zmq.DEALER) as raw:
            raw.setsockopt(zmq.LINGER, 0)
            raw.setsockopt(zmq.RECONNECT_IVL, -1)
            monitor = raw.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            raw.connect(replay_address(address))
            raw.send_multipart([b"replay/demo/", bytes(100_000), b""])
            assert monitor.poll(BOUND_MS)
            raw.disable_monitor()
            monitor.close(linger=0)
        assert asked(honest, source).replay == WANTED


def test_a_peer_that_takes_nothing_costs_little_and_holds_nobody_back(address: str) -> None:
    with (
        Transport(bind=address, answers=True) as source,
        Transport(connect=[address], topics=[b"x"], asks=True) as stopped,
        Transport(connect=[address], topics=[b"x"], asks=True) as honest,
    ):
        peer = asked(stopped, source).peer
        large = chunk(0, 500_000)
        for _ in range(200):  # 400 MB
            source.reply(peer, large)
        assert source._answerer is not None
        assert source._answers_in_flight.bytes <= source._answers_in_flight.limit_bytes == 2**26
        for seq in range(4 * ANSWERS_HIGH_WATER_MARK):
            source.reply(peer, chunk(seq))
        source.reply(asked(honest, source).peer, chunk(7))
        assert [getattr(one, "seq", None) for one in heard(honest, lambda messages: bool(messages))] == [7]


def test_what_a_peer_has_taken_makes_room_again(address: str) -> None:
    with (
        Transport(bind=address, answers=True, memory_bytes=1_600_000) as source,
        Transport(connect=[address], topics=[b"x"], asks=True) as reader,
    ):
        peer = asked(reader, source).peer
        for seq in range(10):
            for _ in range(BOUND_MS):
                source.reply(peer, chunk(seq, 20_000))
                if reader.wait(1):
                    break
            (message,) = reader.receive()
            assert isinstance(message, Chunk)
            assert message.seq == seq


def test_both_ports_are_found_where_any_will_do() -> None:
    with Transport(bind=LOCAL, answers=True) as one, Transport(bind=LOCAL, answers=True) as other:
        assert one.address != other.address


def test_a_port_in_use_beside_is_named(address: str) -> None:
    with (
        Transport(bind=replay_address(address)),
        pytest.raises(AddressError, match=r"s\.replay: the address is in use; .* answers replays there"),
    ):
        Transport(bind=address, answers=True)


def test_who_was_not_told_to_neither_asks_nor_answers(address: str) -> None:
    with Transport(bind=address) as source, Transport(connect=[address], topics=[b"x"]) as reader:
        with pytest.raises(RuntimeError):
            reader.ask(WANTED)
        with pytest.raises(RuntimeError):
            source.reply(b"x", GONE)


def test_who_says_nothing_is_cut_off_wherever_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "HANDSHAKE_MS", 50)
    with Transport(bind=LOCAL, answers=True) as source:
        assert source.address is not None
        for address in (source.address, replay_address(source.address)):
            port = int(address.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=BOUND_MS / 1e3) as silent:
                while silent.recv(1000):  # its greeting, and then the end
                    pass


def test_the_kernel_notices_that_a_machine_has_gone_and_heartbeats_end_nobody() -> None:
    with Transport(bind=LOCAL, answers=True) as source:
        assert source.address is not None
        with Transport(connect=[source.address], topics=[b"x"], asks=True) as reader:
            assert source._answerer is not None
            assert reader._asker is not None
            for one in (source._pub, source._answerer.socket, reader._sub, *reader._asker.sockets):
                assert one is not None
                assert one.getsockopt(zmq.TCP_KEEPALIVE) == 1
                assert one.getsockopt(zmq.TCP_KEEPALIVE_IDLE) == 5
                assert one.getsockopt(zmq.HEARTBEAT_IVL) == 0


def made(folder: Path) -> Keys:
    keys.make(folder)
    return keys.load(folder)


@pytest.fixture
def server(tmp_path: Path) -> Keys:
    return made(tmp_path / "server")


@pytest.fixture
def friend(server: Keys) -> Keys:
    """Someone whom the server lets in, and who knows the server."""
    friend = made(server.folder.parent / "friend")
    shutil.copy(friend.folder / "own.key", server.folder / "authorised" / "friend.key")
    shutil.copy(server.folder / "own.key", friend.folder / "servers" / "127.0.0.1.key")
    return friend


def stranger_of(server: Keys) -> Keys:
    """Someone who knows the server, and whom it does not know."""
    stranger = made(server.folder.parent / "stranger")
    shutil.copy(server.folder / "own.key", stranger.folder / "servers" / "127.0.0.1.key")
    return stranger


def test_a_strangers_request_is_not_heard(server: Keys, friend: Keys) -> None:
    with Transport(bind=LOCAL, answers=True, keys=server) as source:
        assert source.address is not None
        stranger = stranger_of(server)
        with (
            Transport(connect=[source.address], topics=[b"input/"], asks=True, keys=stranger) as unknown,
            Transport(connect=[source.address], topics=[b"input/"], asks=True, keys=friend) as reader,
            bounded_context() as context,
            context.socket(zmq.DEALER) as plain,
        ):
            plain.setsockopt(zmq.LINGER, 0)
            plain.connect(replay_address(source.address))
            plain.send_multipart(codec.encode(WANTED))
            other = Replay(Kind.INPUT, "stranger", 1, 0, 1)
            for _ in range(20):
                unknown.ask(other)
                request = asked(reader, source)
                assert request.replay == WANTED
            source.reply(request.peer, chunk(7))
            assert [getattr(one, "seq", None) for one in heard(reader, lambda messages: bool(messages))] == [7]
            assert not unknown.wait(0)


def test_a_revoked_key_is_not_answered_any_more(server: Keys, friend: Keys) -> None:
    with Transport(bind=LOCAL, answers=True, keys=server) as source:
        assert source.address is not None
        with Transport(connect=[source.address], topics=[b"input/"], asks=True, keys=friend) as reader:
            peer = asked(reader, source).peer
            (server.folder / "authorised" / "friend.key").unlink()
            source.reload()
            source.reply(peer, chunk(7))
            for _ in range(20):
                reader.ask(WANTED)
                assert not reader.wait(10)
            assert not [one for one in source.receive() if isinstance(one, Request)]


def test_an_answer_is_read_whole_though_its_connection_ends_in_the_middle_of_it(address: str) -> None:
    """In a process of its own: libzmq ends it where this goes wrong, or it waits for ever."""
    code = f"""
import time, zmq
from streamer.transport.endpoints import Endpoints
from streamer.transport.retransmit_sockets import DEALER_OPTIONS
router = zmq.Context().socket(zmq.ROUTER)
router.bind({address!r})
dealer = Endpoints(None, insecure=False).connected(zmq.DEALER, [{address!r}], DEALER_OPTIONS)
dealer.poll({BOUND_MS}, zmq.POLLOUT)
dealer.send(b"")
who, _ = router.recv_multipart()
for _ in range(50):
    router.send_multipart([who, b"a", b"b", b"c"])
dealer.poll({BOUND_MS})
time.sleep(0.2)
parts = [dealer.recv()]
router.close(linger=0)
for _ in range(20):
    dealer.getsockopt(zmq.EVENTS)
    time.sleep(0.02)
print(*parts, dealer.recv(), dealer.recv(), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=BOUND_MS / 1e3, check=False)
    assert (done.stdout, done.returncode) == (b"b'a' b'b' b'c'\n", 0)
