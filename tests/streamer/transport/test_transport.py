"""Few tests over real sockets: what the fakes take for granted."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zmq

from streamer.errors import AddressError
from streamer.messages import ANSWERED, Burst, Chunk, Incoming, Info, Kind, Rejected, Replay, Request, Subscription
from streamer.transport import connection_watch
from streamer.transport import transport as sockets
from streamer.transport.transport import Transport
from streamer.wire import codec
from streamer.wire.expected import Parts
from tests.support.bounded import bounded_context

BOUND_MS = 10_000
INFO = Info("demo", 1, 0, 0, 100.0, ("0",))


def chunk(seq: int) -> Chunk:
    return Chunk(Kind.INPUT, "demo", 1, seq, 0, 100.0, np.full((1, 1, 1), seq, np.float32))


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"ipc://{os.path.relpath(tmp_path / 's')}"  # a socket's path has at most 107 letters


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    with bounded_context() as context:
        yield context


def heard(transport: Transport, enough: Callable[[list[Incoming]], bool]) -> list[Incoming]:
    """What comes in until it is enough."""
    messages: list[Incoming] = []
    while not enough(messages):
        came = transport.wait(BOUND_MS)
        assert came, f"nothing came after {len(messages)} messages"
        messages += transport.receive()
    return messages


def count(number: int) -> Callable[[list[Incoming]], bool]:
    return lambda messages: len(messages) >= number


def test_what_queued_up_comes_together_and_the_message_that_ended_a_wait_alone(address: str) -> None:
    topics = [codec.topic(Kind.INPUT)]
    with (
        Transport(bind=address) as publisher,
        Transport(connect=[address], topics=topics, together=True) as subscriber,
    ):
        heard(publisher, count(1))
        values = np.arange(100, dtype=np.float32).reshape(100, 1, 1)
        publisher.send(Burst(replace(chunk(0), values=values), np.arange(100)))
        assert subscriber.wait(BOUND_MS)
        (first,) = subscriber.receive()
        assert isinstance(first, Chunk)
        chunks = [first]
        while len(chunks) < 100:
            for message in subscriber.receive():
                assert isinstance(message, Burst | Chunk)
                chunks += message.chunks() if isinstance(message, Burst) else [message]
        assert [(c.seq, c.time_ns, float(c.values[0, 0, 0])) for c in chunks] == [(k, k, k) for k in range(100)]


class Echo:
    """Answers even samples by their bytes, odd ones not."""

    def __init__(self) -> None:
        self.taken: list[Parts] = []

    def answer(self, parts: Parts) -> Parts | None:
        _, header, payload = parts
        even = np.frombuffer(payload, "<f4")[0] % 2 == 0
        return (codec.topic(Kind.ESTIMATE, "demo"), header, payload) if even else None

    def take(self, said: Sequence[Parts]) -> list[Parts]:
        self.taken = [parts for parts in said if self.answer(parts) is not None]
        return [parts for parts in said if self.answer(parts) is None]

    def answers(self) -> Iterator[Parts]:
        yield from [answer for answer in map(self.answer, self.taken) if answer is not None]


def test_what_a_reflex_answers_is_published_before_the_rest_is_handed_over(
    tmp_path: Path, address: str, context: "zmq.Context[zmq.Socket[bytes]]"
) -> None:
    said_at = f"ipc://{os.path.relpath(tmp_path / 'p')}"
    topics = [codec.topic(Kind.INPUT)]
    with (
        Transport(bind=address) as publisher,
        Transport(bind=said_at, connect=[address], topics=topics, fast_path=Echo()) as predictor,
        context.socket(zmq.SUB) as reader,
    ):
        reader.setsockopt(zmq.SUBSCRIBE, codec.topic(Kind.ESTIMATE))
        reader.connect(said_at)
        heard(publisher, count(1))
        heard(predictor, count(1))
        for seq in range(40):
            publisher.send(chunk(seq))
        got: list[Incoming] = []
        while sum(isinstance(message, Chunk) for message in got) < 20:
            messages = predictor.receive()  # what has queued up, together
            assert messages or predictor.wait(BOUND_MS)
            assert ANSWERED not in messages[1:]
            got += messages
        assert [message.seq for message in got if isinstance(message, Chunk)] == list(range(1, 40, 2))
        assert reader.poll(BOUND_MS)
        values = [np.frombuffer(reader.recv_multipart()[2], "<f4")[0] for _ in range(20)]
        assert values == list(range(0, 40, 2))


def test_who_found_nothing_sleeps_until_a_message_comes_and_loses_none(address: str) -> None:
    with (
        Transport(bind=address, answers=True) as publisher,
        Transport(connect=[address], topics=[codec.topic(Kind.INPUT)], asks=True) as subscriber,
    ):
        heard(publisher, count(1))
        for first in range(0, 30, 3):
            assert subscriber.receive() == []
            for seq in range(first, first + 3):
                publisher.send(chunk(seq))
            assert subscriber.wait(BOUND_MS)
            assert subscriber.wait(BOUND_MS), "what ended the first wait is still there"
            came = subscriber.receive()
            assert len(came) == 1
            came += heard(subscriber, count(2))
            assert [one.seq for one in came if isinstance(one, Chunk)] == [first, first + 1, first + 2]
        assert subscriber.receive() == []
        assert not subscriber.wait(1)


def test_a_publisher_that_found_nothing_is_woken_by_a_subscriber(address: str) -> None:
    with Transport(bind=address, answers=True) as publisher:
        assert publisher.receive() == []
        with Transport(connect=[address], topics=[codec.topic(Kind.INPUT)]):
            assert publisher.wait(BOUND_MS)
            assert heard(publisher, count(1))[0] == Subscription(codec.topic(Kind.INPUT), active=True)


def test_a_publisher_hears_who_subscribes_and_a_subscriber_hears_in_order(address: str) -> None:
    topics = [codec.topic(Kind.INFO), codec.topic(Kind.INPUT, "demo")]
    with Transport(bind=address) as publisher, Transport(connect=[address], topics=topics) as subscriber:
        subscriptions = heard(publisher, count(2))
        assert subscriptions == [Subscription(topic, active=True) for topic in topics]
        for seq in range(500):
            publisher.send(chunk(seq))
        publisher.send(INFO)
        *chunks, last = heard(subscriber, count(501))
        assert [message.seq for message in chunks if isinstance(message, Chunk)] == list(range(500))
        assert last == INFO
        subscriber.close()
        assert heard(publisher, count(2)) == [Subscription(topic, active=False) for topic in sorted(topics)]


def test_every_listener_is_heard_of_not_only_the_first(address: str) -> None:
    with Transport(bind=address) as publisher, Transport(connect=[address], topics=[b"input/"]):
        heard(publisher, count(1))
        with Transport(connect=[address], topics=[b"input/"]):
            assert heard(publisher, count(1)) == [Subscription(b"input/", active=True)]
        assert heard(publisher, count(1)) == [Subscription(b"input/", active=False)]


def test_what_cannot_be_understood_is_rejected_and_the_rest_is_heard(
    address: str, context: "zmq.Context[zmq.Socket[bytes]]"
) -> None:
    with context.socket(zmq.XPUB) as raw, Transport(connect=[address], topics=[b""]) as subscriber:
        raw.bind(address)
        raw.setsockopt(zmq.LINGER, 0)
        assert raw.poll(BOUND_MS)
        oversized = codec.encode(chunk(1))
        oversized[2] = bytes(codec.MAX_PAYLOAD_BYTES + 4)
        for parts in (codec.encode(chunk(0)), [b""], [b"a", b"b"], [b"x"] * 50, oversized, codec.encode(chunk(2))):
            raw.send_multipart(parts)
        messages = heard(subscriber, count(6))
    kinds = [type(message) for message in messages]
    assert kinds == [Chunk, Rejected, Rejected, Rejected, Rejected, Chunk]
    assert isinstance(messages[4], Rejected)
    assert messages[4].reason.startswith("payload: at most")


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_a_peer_far_past_the_limit_is_cut_off_and_heard_again_and_others_are_left_alone(
    scheme: str, address: str, context: "zmq.Context[zmq.Socket[bytes]]", monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(sockets, "MAX_FRAME_BYTES", 10_000)
    monkeypatch.setattr(connection_watch, "LOOK_S", 0.05)
    with context.socket(zmq.XPUB) as raw, Transport(bind=address + "2") as good:
        raw.setsockopt(zmq.LINGER, 0)
        raw.bind(address if scheme == "ipc" else "tcp://127.0.0.1:*")
        at = raw.getsockopt_string(zmq.LAST_ENDPOINT)
        assert good.address is not None
        said_with = {at: "--source", good.address: "--source"}
        with Transport(connect=list(said_with), topics=[b""], flags=said_with) as subscriber:
            heard(good, count(1))
            for turn in range(3):
                assert raw.poll(BOUND_MS)
                assert raw.recv() == b"\1"
                raw.send_multipart(codec.encode(chunk(turn)))
                raw.send_multipart([b"input/demo/", bytes(20_000)])
                assert raw.poll(BOUND_MS)  # it has gone, which ends its subscription
                assert raw.recv() == b"\0"
                good.send(chunk(10 + turn))
                came = heard(subscriber, count(3))
                assert {one.seq for one in came if isinstance(one, Chunk)} == {turn, 10 + turn}
                reasons = [one.reason for one in came if isinstance(one, Rejected)]
                assert len(reasons) == 1
                assert reasons[0].startswith(f"--source {at}: the connection was broken off: a frame over 32 MiB")
        assert not good.wait(0) or heard(good, count(1)) == [Subscription(b"", active=False)]
    assert caplog.text.count("connecting again") == 1


def test_who_answers_with_a_frame_past_the_limit_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MAX_FRAME_BYTES", 10_000)
    monkeypatch.setattr(connection_watch, "LOOK_S", 0.05)
    with Transport(bind="tcp://127.0.0.1:*", answers=True) as publisher:
        assert publisher.address is not None
        with Transport(connect=[publisher.address], topics=[b""], asks=True) as asker:
            replay = Replay(Kind.INPUT, "demo", 1, 0, 1)
            large = replace(chunk(0), values=np.zeros((5_000, 1, 1), np.float32))
            for _ in range(2):
                answer, *_ = answered(asker, publisher, replay, large)
                assert "for retransmission, was broken off" in reason(answer)
            answers = answered(asker, publisher, replay, chunk(5))
    assert {one.seq for one in answers if isinstance(one, Chunk)} == {5}


def answered(asker: Transport, publisher: Transport, replay: Replay, answer: Chunk) -> list[Incoming]:
    """Answer every request until something is heard: some were made over a connection that has ended."""
    for _ in range(BOUND_MS // 40):
        asker.ask(replay)
        publisher.wait(20)
        for message in publisher.receive():
            if isinstance(message, Request):
                publisher.reply(message.peer, answer)
        asker.wait(20)
        if came := asker.receive():
            return came
    raise AssertionError("no answer was heard")


def reason(message: Incoming) -> str:
    assert isinstance(message, Rejected)
    return message.reason


def test_who_comes_to_the_place_of_another_program_is_heard(
    context: "zmq.Context[zmq.Socket[bytes]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_watch, "LOOK_S", 0.05)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Transport(connect=[f"tcp://127.0.0.1:{port}"], topics=[b""]) as subscriber:
            other.settimeout(BOUND_MS / 1e3)
            connection, _ = other.accept()
            with connection:
                greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\0" + bytes(31)
                connection.sendall(greeting + b"\7\xff" + bytes(64))  # no command of a handshake
                connection.settimeout(BOUND_MS / 1e3)
                while connection.recv(4096):
                    pass
            other.close()
            with context.socket(zmq.XPUB) as raw:
                raw.setsockopt(zmq.LINGER, 0)
                raw.bind(f"tcp://127.0.0.1:{port}")
                assert subscriber.wait(BOUND_MS)
                assert subscriber.receive() == []  # what came was no message; it connects again
                assert raw.poll(BOUND_MS)
                raw.send_multipart(codec.encode(chunk(3)))
                came = heard(subscriber, count(1))
    assert [one.seq for one in came if isinstance(one, Chunk)] == [3]


def test_odd_frames_from_a_subscriber_are_passed_over(
    address: str, context: "zmq.Context[zmq.Socket[bytes]]"
) -> None:
    with Transport(bind=address) as publisher, context.socket(zmq.XSUB) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        raw.connect(address)
        for frame in (b"", b"\x02odd", b"hello", b"\x01", b"\x01" + b"\xff" * 100, b"\x00" + b"\xff" * 100):
            raw.send(frame)
        raw.send_multipart([b"hello", b"more"])
        raw.send(b"\x01input/")
        assert heard(publisher, lambda messages: Subscription(b"input/", active=True) in messages) == [
            Subscription(b"", active=True),
            Rejected("subscription: nothing is published under " + repr(b"\xff" * 40)),
            Subscription(b"input/", active=True),
        ]


def fill(publisher: Transport) -> int:
    """Send until every queue on the way is full; return how many were taken."""
    assert publisher._pub is not None
    publisher._pub.setsockopt(zmq.SNDTIMEO, 200)  # what is sent moves on for a while
    for seq in range(1_000_000):
        try:
            publisher._pub.send_multipart(codec.encode(chunk(seq)))
        except zmq.Again:
            publisher._pub.setsockopt(zmq.SNDTIMEO, sockets.STALL_MS)
            return seq
    raise AssertionError("nothing holds the sender back")


def test_under_back_pressure_a_listener_that_takes_a_little_is_soon_sent_more(address: str) -> None:
    with (
        Transport(bind=address, back_pressure=True) as publisher,
        Transport(connect=[address], topics=[b""]) as subscriber,
    ):
        heard(publisher, count(1))
        sent = fill(publisher)
        received = heard(subscriber, count(2 * sockets.SHORT_HIGH_WATER_MARK))
        assert publisher._pub is not None
        publisher._pub.setsockopt(zmq.SNDTIMEO, BOUND_MS)
        publisher._pub.send_multipart(codec.encode(chunk(sent)))
        received += heard(subscriber, count(sent + 1 - len(received)))
        assert [message.seq for message in received if isinstance(message, Chunk)] == list(range(sent + 1))


def test_a_listener_that_takes_nothing_holds_nobody_back_for_long(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "STALL_MS", 10)
    monkeypatch.setattr(sockets, "PATIENT_LINGER_MS", 0)
    with (
        Transport(bind=address, back_pressure=True) as publisher,
        Transport(connect=[address], topics=[b""]),
    ):
        heard(publisher, count(1))
        sent = fill(publisher)
        for seq in range(sent, sent + 100_000):  # 10 ms each would pass any test's patience
            publisher.send(chunk(seq))


def test_under_back_pressure_closing_waits_for_slow_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    # Over tcp: ZeroMQ gives up what an ipc connection still holds when its other end closes.
    monkeypatch.setattr(sockets, "LINGER_MS", 0)
    publisher = Transport(bind="tcp://127.0.0.1:*", back_pressure=True)
    assert publisher.address is not None
    with Transport(connect=[publisher.address], topics=[b""]) as subscriber:
        heard(publisher, count(1))
        sent = fill(publisher)
        closing = threading.Thread(target=publisher.close)
        closing.start()
        received = heard(subscriber, count(sent))
        closing.join(BOUND_MS / 1e3)
    assert len(received) == sent


def test_closing_is_hurried_by_what_is_watched(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LINGER_MS", 0)
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        Transport(bind=address, back_pressure=True, watch=[ours]) as publisher,
        Transport(connect=[address], topics=[b""]),
    ):
        heard(publisher, count(1))
        fill(publisher)
        theirs.send(b"stop")
        assert publisher.wait(0)
        closing = threading.Thread(target=publisher.close, daemon=True)
        closing.start()
        closing.join(BOUND_MS / 1e3)
        assert not closing.is_alive()


@pytest.mark.parametrize(
    "address",
    [
        "", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:http", "tcp://127.0.0.1:" + "9" * 5000, "ipc://", "foo://x", "udp://127.0.0.1:5",
        "127.0.0.1:5555", "inproc://x", "tcp://127.0.0.1:5\0", "tcp://\udcff:5", "ipc://" + "x" * 200,
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["bind", "connect"])
def test_an_address_that_is_none_is_named(verb: str, address: str) -> None:
    arguments = {"bind": address} if verb == "bind" else {"connect": [address]}
    with pytest.raises(AddressError, match=f"^cannot {verb} .*; give for example") as error:
        Transport(**arguments)
    assert str(error.value).isprintable()


def test_a_port_in_use_is_named() -> None:
    with Transport(bind="tcp://127.0.0.1:*") as first:
        assert first.address is not None
        with pytest.raises(AddressError, match=r"^cannot bind tcp://127\.0\.0\.1:.* is in use; "):
            Transport(bind=first.address)


def test_a_path_in_use_is_named_and_its_owner_is_not_harmed(address: str) -> None:
    with Transport(bind=address) as first:
        with pytest.raises(AddressError, match="is in use; "):
            Transport(bind=address)
        with Transport(connect=[address], topics=[b""]) as subscriber:
            heard(first, count(1))
            first.send(chunk(1))
            heard(subscriber, count(1))


def test_a_file_in_the_way_is_kept(address: str) -> None:
    path = Path(address.removeprefix("ipc://"))
    path.write_text("precious")
    with pytest.raises(AddressError, match="there is a file of that name"):
        Transport(bind=address)
    assert path.read_text() == "precious"


def test_a_socket_left_behind_is_taken_over(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address.removeprefix("ipc://"))
    with Transport(bind=address) as publisher, Transport(connect=[address], topics=[b"input/"]):
        heard(publisher, count(1))


def test_a_transport_that_binds_nothing_cannot_send() -> None:
    with Transport() as transport, pytest.raises(RuntimeError):
        transport.send(INFO)
