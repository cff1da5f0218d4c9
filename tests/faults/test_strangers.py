"""Who is not let in, and comes all the same, in numbers."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from streamer.transport import keys
from tests.support import plainwire
from tests.support.fixtures import Dose, Inject, Listen
from tests.support.mouth import Chorus
from tests.support.ports import REPLAY_OFFSET, Ports
from tests.support.processes import Starter
from tests.support.procfs import peak_mb
from tests.support.scene import Scene, must_keep_the_promise

MAX_MB = 300
TURNED_AWAY = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
TURNED_AWAY |= zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_DISCONNECTED


def folder(path: Path) -> Path:
    """Make keys that let themselves in."""
    own = keys.make(path).public.decode()
    certificate = f'metadata\ncurve\n    public-key = "{own}"\n'
    (path / "authorised" / "own.key").write_text(certificate)
    (path / "servers" / "127.0.0.1.key").write_text(certificate)
    return path


@contextmanager
def crowd(number: int, kind: int, doors: list[str], server_key: bytes | None) -> Iterator[Chorus]:
    """Open connections as a stranger: without encryption, or each with a key of its own."""
    chorus = Chorus(number)
    try:
        for place in range(number):
            socket = chorus.context.socket(kind)
            if server_key is not None:
                public, secret = zmq.curve_keypair()
                socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
                socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
                socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
            if kind == zmq.SUB:
                socket.setsockopt(zmq.SUBSCRIBE, b"")
            chorus.add(socket, doors[place % len(doors)], TURNED_AWAY)
            if kind == zmq.DEALER:
                with contextlib.suppress(zmq.Again):  # turned away already
                    for wanted in (plainwire.INPUT, plainwire.ESTIMATE):
                        socket.send_multipart(plainwire.request(wanted, "demo", 1, 0, 1000), zmq.NOBLOCK)
        yield chorus
    finally:
        chorus.close()


@pytest.mark.parametrize("key", ["plain", "random key"])
def test_strangers_hear_nothing_and_cost_whoever_belongs_nothing(
    start: Starter, ports: Ports, listen: Listen, injected: Inject, dose: Dose, tmp_path: Path, key: str
) -> None:
    """A DEALER knocks where replays are asked for, a SUB where they are published."""
    number = dose.pick(quick=50, release=1000)
    scene = Scene(rate_hz=500.0)
    own = folder(tmp_path / "keys")
    source_port, predict_port = ports(), ports()
    source_at, predict_at = f"tcp://127.0.0.1:{source_port}", f"tcp://127.0.0.1:{predict_port}"
    ear = listen(predict_at, keys=own)
    secure = ("--keys", own)
    source = start("source", "--bind", source_at, "--wait", "--linger", 60, *secure, *scene.source())
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", *secure, *scene.predict())
    ear.wait_for_seq(10)
    server_key = keys.load(own).public if key == "random key" else None
    for kind, offset in ((zmq.SUB, 0), (zmq.DEALER, REPLAY_OFFSET)):
        doors = [f"tcp://127.0.0.1:{port + offset}" for port in (source_port, predict_port)]
        with crowd(number, kind, doors, server_key) as chorus:
            ear.wait(lambda chorus=chorus: chorus.refused() == number, "all strangers to be turned away")  # type: ignore[misc]
            ear.wait_for_seq(ear.next_seq + 100)
            assert chorus.heard() == 0
    count = ear.next_seq
    peak = max(peak_mb(command.process.pid) for command in (source, predict))
    assert peak < MAX_MB
    must_keep_the_promise(ear, scene, count)
    for kind_word in ("SUB", "DEALER"):
        injected(f"unauthorised {kind_word}, {key}", number, peak_mb=round(peak))
    for command in (predict, source):
        assert command.stop() == 0
