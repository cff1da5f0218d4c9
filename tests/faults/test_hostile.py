"""Bytes that are no messages, at every door."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import zmq

from streamer.messages import Info
from streamer.wire import codec
from tests.support import plainwire
from tests.support.bounded import bounded_context
from tests.support.fixtures import Inject, Listen
from tests.support.mouth import Mouth
from tests.support.ports import REPLAY_OFFSET, Ports
from tests.support.processes import Command, Starter
from tests.support.procfs import peak_mb
from tests.support.scene import Scene, must_equal, must_keep_the_promise

COUNT = 400
AGAIN = 40  # samples after a source was cut off
MAX_MB = 300  # a predictor or source takes about 50
MIB = 2**20


def garbage(rng: np.random.Generator) -> list[list[bytes]]:
    """Messages that reach a predictor's decoder, none of which it may understand."""
    good = plainwire.message(plainwire.INPUT, "demo", 1, 0, bytes(4))
    topic, header, payload = good
    wrong: list[list[bytes]] = [[topic, rng.bytes(int(size)), payload] for size in rng.integers(0, 200, 50)]
    wrong += [[topic, rng.bytes(len(header)), rng.bytes(4)] for _ in range(20)]
    wrong += [[topic, header[:size], payload] for size in range(len(header))]
    wrong += [[topic, header, payload[:size]] for size in range(len(payload))]
    wrong += [[topic[:size], header, payload] for size in range(len(b"input/"), len(topic))]
    wrong += [[topic, _version(header, number), payload] for number in range(256) if number != plainwire.VERSION]
    wrong += [[topic, header[:5] + bytes([kind]) + header[6:], payload] for kind in range(256) if kind != 1]
    wrong += [[topic], [topic, header], [*good, b""], [topic, b"", b""]]
    wrong += [[topic] + [b"x"] * 9_999, [topic, header] + [b""] * 9_998]
    wrong += [[topic, header, bytes(codec.MAX_PAYLOAD_BYTES + 4)], [topic, bytes(MIB), payload]]
    wrong += [[b"input/" + bytes(90) + b"/", header, payload], [b"input/../", header, payload]]
    wrong += [[b"info/demo/", header[:5] + b"\4" + bytes(58), body] for body in (b"", b"[", b"{}", b"[" * 100_000)]
    return wrong


def _version(header: bytes, number: int) -> bytes:
    return header[:4] + bytes([number]) + header[5:]


def test_a_source_that_says_garbage_changes_no_estimate_and_every_message_is_counted(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject
) -> None:
    scene = Scene(learn="target", rate_hz=1000.0)
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    wrong = garbage(rng)
    said = [codec.encode(message) for message in scene.messages(COUNT + AGAIN) if not isinstance(message, Info)]
    good, rest = said[: -2 * AGAIN], said[-2 * AGAIN :]  # each sample has a target
    order = rng.permutation([True] * len(good) + [False] * len(wrong))
    goods, wrongs = iter(good), iter(rng.permutation(np.array([*wrong, None], object)[:-1]))
    with Mouth(source_at) as mouth:
        predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict())
        mouth.wait_for_listener()
        mouth.say_all(next(goods if is_good else wrongs) for is_good in order)
        ear.wait_for_all(COUNT)
        ear.wait(
            lambda: ear.bodies[""]["rejected"] == len(wrong), "the count of all that was rejected", provoke=True
        )
        mouth.say([b"input/demo/", bytes(3 * codec.MAX_PAYLOAD_BYTES)])
        mouth.wait_for_leaver()  # ZeroMQ hangs up, and of itself never comes back to who said so much
        mouth.wait_for_listener()
        mouth.say_all(rest)
        ear.wait_for_all(COUNT + AGAIN)
        ear.wait(
            lambda: ear.bodies[""]["rejected"] == len(wrong) + 1, "the count of what cut it off", provoke=True
        )
        peak = peak_mb(predict.process.pid)
        assert predict.stop() == 0
    assert peak < MAX_MB
    assert sum("connecting again" in line for line in predict.log) == 1
    must_equal(ear.heard(), scene.golden(COUNT + AGAIN))
    what = "garbage, truncated, huge and 10,000-part messages, every version and kind byte"
    injected(what, len(wrong), peak_mb=round(peak))
    injected("frames beyond MAXMSGSIZE", 1)


def test_garbage_at_every_door_of_source_and_predictor_disturbs_nobody(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject
) -> None:
    scene = Scene(rate_hz=500.0)
    source_port, predict_port = ports(), ports()
    source_at, predict_at = f"tcp://127.0.0.1:{source_port}", f"tcp://127.0.0.1:{predict_port}"
    ear = listen(predict_at)
    source = start("source", "--bind", source_at, "--wait", "--linger", 60, *scene.source())
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict())
    ear.wait_for_seq(10)
    doors = [port + offset for port in (source_port, predict_port) for offset in (0, REPLAY_OFFSET)]
    with attackers(doors, rng) as counts:
        ear.wait_for_seq(2 * COUNT)
    assert all(counts), counts
    count = ear.next_seq
    ear.wait_for_seq(count + 10)
    for command in (source, predict):
        assert peak_mb(command.process.pid) < MAX_MB
        assert command.process.poll() is None
    must_keep_the_promise(ear, scene, count)
    injected("raw bytes, half-open connections and odd messages at XPUB and ROUTER", sum(counts),
             peak_mb=round(max(peak_mb(command.process.pid) for command in (source, predict))))  # fmt: skip
    stop_both(predict, source)


@contextmanager
def attackers(doors: list[int], rng: np.random.Generator) -> Iterator[list[int]]:
    """Attack each port from a thread of its own; yield how many attacks each has made."""
    ended = threading.Event()
    counts = [0] * len(doors)

    def attack(place: int, own: np.random.Generator) -> None:
        with bounded_context() as context:
            while not ended.is_set():
                raw(doors[place], own)
                for kind in (zmq.DEALER, zmq.SUB, zmq.XSUB):
                    odd(context, kind, doors[place], own)
                counts[place] += 4

    threads = [
        threading.Thread(target=attack, args=(place, own)) for place, own in enumerate(rng.spawn(len(doors)))
    ]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\0" + bytes(31)
READY = b"\4\x19\5READY\x0bSocket-Type\0\0\0\3SUB"


def raw(port: int, rng: np.random.Generator) -> None:
    """Say bytes that are no ZMTP, or stop being it at some place."""
    says = [
        rng.bytes(500),
        GREETING[: int(rng.integers(len(GREETING)))],
        GREETING + rng.bytes(200),
        GREETING + READY + b"\2" + b"\x7f" * 8 + rng.bytes(100),  # a frame of 2^63 bytes
        GREETING + READY + b"\0\xff" + rng.bytes(10),
    ]
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(says[int(rng.integers(len(says)))])


def odd(context: "zmq.Context[zmq.Socket[bytes]]", kind: int, port: int, rng: np.random.Generator) -> None:
    """Say ZMTP, but nothing that the other side wants to hear."""
    with context.socket(kind) as peer:
        peer.setsockopt(zmq.LINGER, 50)
        peer.setsockopt(zmq.SNDHWM, 0)
        peer.setsockopt(zmq.SNDTIMEO, 50)
        peer.connect(f"tcp://127.0.0.1:{port}")
        if kind == zmq.SUB:
            peer.setsockopt(zmq.SUBSCRIBE, rng.bytes(int(rng.integers(2000))))
            peer.setsockopt(zmq.SUBSCRIBE, b"")
        elif kind == zmq.XSUB:
            peer.send_multipart([rng.bytes(int(size)) for size in rng.integers(0, 600, 3)])
        else:
            for parts in (*garbage_requests(rng), [b""] * 10_000):
                with contextlib.suppress(zmq.Again):
                    peer.send_multipart(parts)


def garbage_requests(rng: np.random.Generator) -> list[list[bytes]]:
    """Requests that nobody can serve, and some that ask for far too much."""
    topic, header, payload = plainwire.request(plainwire.INPUT, "demo", 1, 0, 10)
    return [
        [rng.bytes(10)],
        [topic, header[: int(rng.integers(len(header)))], payload],
        [topic, _version(header, int(rng.integers(256))), payload],
        plainwire.request(plainwire.INPUT, "demo", int(rng.integers(2**63)), 0, 2**32 - 1),
        plainwire.request(plainwire.STATUS, "demo", 1, 0, 1),
        plainwire.request(plainwire.TARGET, "demo", 1, 2**63 - 1, 2**32 - 1),
        plainwire.request(plainwire.INPUT, "demo", 1, 0, 0),
        [topic, header, bytes(1000)],
        [topic, header, bytes(int(rng.integers(100_000)))],
    ]


@pytest.mark.parametrize("asked", [plainwire.INPUT, pytest.param(plainwire.ESTIMATE, marks=pytest.mark.release)])
def test_who_asks_for_everything_again_and_reads_nothing_takes_no_memory(
    start: Starter, ports: Ports, listen: Listen, injected: Inject, asked: int
) -> None:
    scene = Scene(rate_hz=1000.0, channels=8)
    source_port, predict_port = ports(), ports()
    source_at, predict_at = f"tcp://127.0.0.1:{source_port}", f"tcp://127.0.0.1:{predict_port}"
    ear = listen(predict_at)
    source = start("source", "--bind", source_at, "--wait", "--linger", 60, *scene.source())
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict())
    ear.wait_for_seq(200)
    port = source_port if asked == plainwire.INPUT else predict_port
    asks = 2_000
    with bounded_context() as context, context.socket(zmq.DEALER) as glutton:
        glutton.setsockopt(zmq.LINGER, 0)
        glutton.setsockopt(zmq.RCVHWM, 1)
        glutton.setsockopt(zmq.SNDHWM, 0)
        glutton.connect(f"tcp://127.0.0.1:{port + REPLAY_OFFSET}")
        for _ in range(asks):
            glutton.send_multipart(plainwire.request(asked, "demo", ear.newest_run, 0, 2**32 - 1))
        ear.wait_for_seq(ear.next_seq + COUNT)
    count = ear.next_seq
    peak = max(peak_mb(command.process.pid) for command in (source, predict))
    assert peak < MAX_MB
    must_keep_the_promise(ear, scene, count)
    injected(f"requests for every {plainwire.WORDS[asked]} again, by who reads none", asks, peak_mb=round(peak))
    stop_both(predict, source)


def stop_both(*commands: Command) -> None:
    for command in commands:
        assert command.stop() == 0
