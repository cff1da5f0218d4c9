"""`publish` and `listen` over real sockets, with the daemon's core between them."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

import sincos
from predictor.daemon.core import Predictor
from streamer.clock import SystemClock
from streamer.errors import AddressError, FileError, NothingHeard, UsageError
from streamer.messages import Kind
from streamer.shell import StopRequest, run
from streamer.transport.transport import Transport
from streamer.wire import codec
from trainer.model_file import load_model

BOUND_S = 120.0
ANYWHERE = "tcp://127.0.0.1:*"
X = (3 * np.sin(0.25 * np.arange(600))[:, None] + [0.0, 1.0]).astype(np.float32)


@contextmanager
def predicting(source: str) -> Iterator[str]:
    """Serve the default model in a thread; yield where it publishes."""
    core, stop, ready, found = Predictor(load_model("default")), StopRequest(), Event(), []
    topics = [codec.topic(kind) for kind in (Kind.INFO, Kind.TARGET, Kind.INPUT)]

    def serve() -> None:
        with Transport(
            bind=ANYWHERE, connect=[source], topics=topics, watch=[stop], together=True, answers=True, asks=True,
            fast_path=core.fast_paths, full=core.full,
        ) as transport:  # fmt: skip
            found.append(transport.address)
            ready.set()
            run(core, transport, SystemClock(), stop)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(BOUND_S)
    try:
        yield found[0]
    finally:
        stop.request()
        thread.join(BOUND_S)
        stop.close()


def joined(said: list[sincos.Published], name: str) -> np.ndarray:
    return np.concatenate([getattr(one, name) for one in said])


def test_what_is_pushed_comes_back_as_the_estimates_of_quadrature() -> None:
    with (
        sincos.publish("cz", rate_hz=250, channels=["Cz", "Pz"], address=ANYWHERE) as out,
        pushed(out, X[:49]),  # before anybody listens: asked for again
        predicting(out.address) as address,
        sincos.listen("cz", address=address, timeout_s=BOUND_S) as estimates,
    ):
        out.wait_for(1, BOUND_S)
        for first in range(49, 300, 7):
            out.push(X[first : min(first + 7, 300)])
        out.push(X[300:], missing=5)
        out.push(X[:0])
        assert out.listeners == 1
        out.close()
        assert out.samples == 605
        said = list(estimates)  # ends with the run
        late = list(sincos.listen("cz", address=address, timeout_s=BOUND_S))
    q = sincos.Quadrature(250)
    before = q.push(X[:300])
    q.skip(5)
    after = q.push(X[300:])
    for name in ("cos", "sin", "phase_deg", "amplitude", "frequency_hz"):
        expected = np.concatenate([getattr(before, name), getattr(after, name)])
        assert joined(said, name).tobytes() == expected.tobytes(), name
        assert joined(late, name).tobytes() == expected.tobytes(), name  # kept for who comes late
    assert [(one.seq, one.missing) for one in said if one.missing] == [(305, 5)]
    assert {(one.stream, one.run, one.rate_hz) for one in said} == {("cz", out.run, 250.0)}
    assert estimates.missing == 5


def test_an_error_in_the_block_ends_the_run_and_is_not_hidden() -> None:
    with predicting_source() as (out, address):
        with pytest.raises(KeyboardInterrupt), out:
            _interrupted_after(out)
        with pytest.raises(UsageError, match="push: stream cz is closed; publish it again"):
            out.push(X[:50])
        assert sum(map(len, sincos.listen("cz", address=address, timeout_s=BOUND_S))) == 50
        out.close()  # a second time


@contextmanager
def pushed(out: Any, x: np.ndarray) -> Iterator[None]:
    out.push(x)
    yield


def _interrupted_after(out: Any) -> None:
    out.push(X[:50])
    raise KeyboardInterrupt


@contextmanager
def predicting_source() -> Iterator[tuple[Any, str]]:
    out = sincos.publish("cz", rate_hz=250, channels=2, address=ANYWHERE)
    with predicting(out.address) as address:
        out.wait_for(1, BOUND_S)
        yield out, address


def test_nobody_there_is_an_error_after_the_timeout() -> None:
    with pytest.raises(
        NothingHeard, match=r"wait_for: 0 of 2 listeners of cz at tcp://127.0.0.1:\d+ within 0.1 s"
    ):
        sincos.publish("cz", rate_hz=250, address=ANYWHERE, wait_for=2, timeout_s=0.1)
    with sincos.listen(address="tcp://127.0.0.1:9", timeout_s=0.05) as estimates:
        for _ in range(2):  # one may go on waiting
            with pytest.raises(NothingHeard, match=r"timeout_s: no estimates of any stream at .* within 0\.05 s"):
                next(estimates)
    assert list(estimates) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"stream": "a/b"}, "stream: must be 1 to 64"),
        ({"rate_hz": -1}, "rate_hz: must be"),
        ({"channels": "Cz"}, r"channels: must be a number or a list of names, got 'Cz': give \['Cz'\]"),
        ({"channels": []}, "channels: must be 1 to"),
        ({"channels": ["x" * 2_000_000]}, "names of channels must have at most 64 letters"),
        ({"retain_s": -1}, "retain_s: must be 0 to"),
        ({"wait_for": 0.5}, "wait_for: must be a whole number"),
    ],
)
def test_arguments_of_publish_are_named_as_written(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        sincos.publish(**{"stream": "cz", "rate_hz": 250, "address": ANYWHERE, **arguments})
    assert "--" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"stream": "a/b"}, "stream: must be 1 to 64"),
        ({"timeout_s": -1}, "timeout_s: must be 0 to"),
        ({"gap_deadline_s": -1}, "gap_deadline_s: must be 0 to 1e6"),
        ({"address": []}, "address: must be at least one"),
    ],
)
def test_arguments_of_listen_are_named_as_written(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        sincos.listen(**arguments)
    assert "--" not in str(raised.value)


def test_addresses_and_keys_that_cannot_be_used_are_errors_at_once(tmp_path: Any) -> None:
    with sincos.publish("cz", rate_hz=250, address=ANYWHERE) as out:
        with pytest.raises(AddressError, match="in use"):
            sincos.publish("cz", rate_hz=250, address=out.address)
        with pytest.raises(UsageError, match=r"x: must have the 1 channel\(s\) .*, got shape \[2, 2\], 2 channel"):
            out.push(X[:2])
    with pytest.raises(AddressError, match="tcp://HOST"):
        sincos.listen(address="localhost:5555")
    with pytest.raises(FileError) as raised:
        sincos.publish("cz", rate_hz=250, address=ANYWHERE, keys=tmp_path / "none")
    assert str(raised.value).startswith(f"{tmp_path}/none")
    assert f"`sincos keys make --keys {tmp_path}/none`" in str(raised.value)  # a command stays as it is typed
    with pytest.raises(UsageError, match="insecure=True, keys: give one of them, not both"):
        sincos.listen(keys=tmp_path, insecure=True)
    with pytest.raises(AddressError, match=r"give keys .*, or insecure=True where you trust the whole network"):
        sincos.publish("cz", rate_hz=250, address="tcp://0.0.0.0:*")


def test_ctrl_c_ends_listening_at_once() -> None:
    code = (
        "import sincos\nwith sincos.listen(address='tcp://127.0.0.1:9') as estimates:\n"
        "    print('listening', flush=True)\n    next(estimates)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "listening\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=BOUND_S)
    finally:
        child.kill()
    assert child.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
