"""Who is not there is said: after five looks, then every minute, with the flag and the reason."""

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.messages import Info
from streamer.transport import connection_states, connection_watch
from streamer.transport.connection_states import ConnectionStates, Event
from streamer.transport.transport import Transport

ADDRESS = "tcp://host:5555"
BOUND_S = 30.0
INFO = Info("demo", 1, 0, 0, 100.0, ("0",))


def looks(watched: ConnectionStates, count: int, *, heard: bool = False) -> dict[int, list[str]]:
    """What is said at each look that says something."""
    said = {number: [say.text for say in watched.look(heard=heard)] for number in range(1, count + 1)}
    return {number: texts for number, texts in said.items() if texts}


def test_nobody_is_spoken_of_after_5_s_and_then_every_minute() -> None:
    said = looks(ConnectionStates({ADDRESS: "--source"}), 180)
    assert list(said) == [5, 60, 120, 180]
    assert said[5] == [f"--source {ADDRESS}: nothing received for 5 s; its host cannot be found; check the name"]
    assert "nothing received for 3 min" in said[180][0]


@pytest.mark.parametrize(
    ("address", "events", "reason"),
    [
        (ADDRESS, [], "its host cannot be found"),
        (ADDRESS, [Event.TRIED], "nobody answers there; is `sincos source` running"),
        (ADDRESS, [Event.TRIED, Event.REFUSED], "nobody answers there"),
        (ADDRESS, [Event.TRIED, Event.ACCEPTED], "does not use this protocol"),
        (ADDRESS, [Event.ACCEPTED, Event.WRONG_KEY, Event.GONE], "the key of this process is refused there"),
        ("tcp://[::1]:5555", [], "it cannot be reached from this machine"),
        ("ipc:///tmp/x", [], "there is no such socket"),
    ],
)
def test_the_reason_is_given(address: str, events: list[Event], reason: str) -> None:
    watched = ConnectionStates({address: "--source"})
    for event in events:
        watched.event(address, event)
    assert reason in looks(watched, 5)[5][0]


def test_who_answers_is_not_spoken_of_but_once_who_was_missed() -> None:
    watched = ConnectionStates({ADDRESS: "--source", "tcp://host:6": "--source"})
    watched.event(ADDRESS, Event.STANDS)
    assert [text for texts in looks(watched, 200, heard=True).values() for text in texts if ADDRESS in text] == []
    watched.event(ADDRESS, Event.GONE)
    assert "host cannot be found" in looks(watched, 5, heard=True)[5][0]
    watched.event(ADDRESS, Event.STANDS)
    assert looks(watched, 300, heard=True)[1][0] == f"--source {ADDRESS}: connected"


def test_a_short_absence_is_not_spoken_of() -> None:
    watched = ConnectionStates({ADDRESS: "--source"})
    for _ in range(10):
        watched.event(ADDRESS, Event.STANDS)
        assert looks(watched, 3, heard=True) == {}
        watched.event(ADDRESS, Event.GONE)
        assert looks(watched, 4, heard=True) == {}


def test_a_connection_through_which_nothing_ever_comes_is_the_wrong_one() -> None:
    watched = ConnectionStates({ADDRESS: "--source", "tcp://host:6": "--source"})
    for address in (ADDRESS, "tcp://host:6"):
        watched.event(address, Event.STANDS)
    said = looks(watched, 61)
    assert list(said) == [5, 60]
    assert said[5] == [
        f"--source {ADDRESS}, tcp://host:6: connected, but nothing received for 5 s; is this where "
        "`sincos source` publishes?"
    ]
    assert looks(watched, 200, heard=True) == {}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_watch, "LOOK_S", 0.1)


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + BOUND_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("nobody", "nobody answers there; is `sincos predict`"),
        ("no such host", "its host cannot be found"),
        ("no such path", "there is no such socket"),
        ("answers for replays", "does not use this protocol"),
        ("publishes nothing", "connected, but nothing received"),
    ],
)
def test_over_real_sockets(who: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Transport(bind="tcp://127.0.0.1:*", answers=True) as other, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        assert other.address is not None
        beside = other.address.rpartition(":")
        address = {
            "nobody": f"tcp://127.0.0.1:{taken.getsockname()[1]}",
            "no such host": "tcp://nosuch.invalid:5555",
            "no such path": f"ipc://{os.path.relpath(tmp_path / 's')}",
            "answers for replays": f"{beside[0]}:{int(beside[2]) + 1000}",
            "publishes nothing": other.address,
        }[who]
        with (
            caplog.at_level(logging.INFO),
            Transport(connect=[address], topics=[b""], insecure=True, flags={address: "--predictor"}) as listener,
        ):
            until(lambda: reason in caplog.text)
            assert f"--predictor {address}: " in caplog.text
            assert connection_states.PROGRAMS["--predictor"] in caplog.text or who not in (
                "nobody",
                "publishes nothing",
            )
            if who == "publishes nothing":
                other.receive()
                other.send(INFO)
                assert listener.wait(10_000)
                assert listener.receive() == [INFO]


@pytest.mark.usefixtures("quick")
def test_who_comes_late_is_greeted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    address = f"ipc://{os.path.relpath(tmp_path / 's')}"
    with (
        caplog.at_level(logging.INFO),
        Transport(connect=[address], topics=[b""], flags={address: "--source"}) as listener,
    ):
        until(lambda: "there is no such socket" in caplog.text)
        with Transport(bind=address):
            until(lambda: f"--source {address}: connected" in caplog.text)
        assert not listener.wait(0)
