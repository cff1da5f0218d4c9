"""Processes that are stopped for a while, and hear what was said meanwhile or are told that it is gone."""

import json
import signal
import time

import numpy as np
import pytest

from streamer.messages import Kind
from tests.support.ear import Ear
from tests.support.fixtures import Inject, Listen
from tests.support.ports import REPLAY_OFFSET, Ports
from tests.support.processes import Command, Starter
from tests.support.procfs import is_stopped, peak_mb
from tests.support.scene import Scene, must_keep_the_promise
from tests.support.tcprelay import TcpRelay

MAX_MB = 300


def stall(command: Command, ear: Ear, seconds: float, *, others_hear: bool) -> None:
    """Stop a process, see it stopped, and let it go on."""
    command.process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while not is_stopped(command.process.pid):
        assert time.monotonic() < deadline
    before = ear.next_seq if others_hear else ear.wait_for_quiet()
    time.sleep(seconds)
    assert is_stopped(command.process.pid)
    if others_hear:
        ear.wait_for_seq(before + 10)
    assert others_hear or ear.next_seq == before
    command.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("learn", [None, pytest.param("target", marks=pytest.mark.release)])
@pytest.mark.parametrize("stall_s", [1, pytest.param(10, marks=pytest.mark.release)])
def test_a_predictor_stopped_for_less_than_retention_misses_nothing(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, learn: str | None,
    stall_s: int,
) -> None:  # fmt: skip
    scene = Scene(learn=learn, seed=int(rng.integers(1000)))
    source_at, predict_at = ports.address(), ports.address()
    ear = listen(predict_at)
    source = start("source", "--bind", source_at, "--wait", "--linger", 60, *scene.source())
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", *scene.predict())
    ear.wait_for_seq(int(rng.integers(50, 200)))
    before = ear.next_seq
    stall(predict, ear, stall_s, others_hear=False)
    took_s = ear.wait_for_seq(before + round(stall_s * scene.rate_hz))
    must_keep_the_promise(ear, scene, ear.next_seq)
    assert ear.wait_for_status("demo")["gaps"] == 0
    for command in (predict, source):
        assert command.stop() == 0
    injected(f"predictor stopped (SIGSTOP) for {stall_s} s", 1, recovery_s=round(took_s, 2))


def test_a_predictor_stopped_for_longer_than_retention_reports_the_gap(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject
) -> None:
    """Its connection ends meanwhile: while that stands, its queue holds what was said."""
    scene = Scene(seed=int(rng.integers(1000)))
    source_port, relay_port, predict_at = ports(), ports(), ports.address()
    ear = listen(predict_at)
    source = start(
        "source",
        "--bind",
        f"tcp://127.0.0.1:{source_port}",
        "--wait",
        "--retain",
        0.3,
        "--linger",
        60,
        *scene.source(),
    )
    ways = [(relay_port + offset, source_port + offset) for offset in (0, REPLAY_OFFSET)]
    with TcpRelay(*ways) as relay:
        predict = start(
            "predict",
            "--source",
            f"tcp://127.0.0.1:{relay_port}",
            "--bind",
            predict_at,
            "--wait",
            *scene.predict(),
        )
        ear.wait_for_seq(int(rng.integers(50, 200)))
        before = ear.next_seq
        predict.process.send_signal(signal.SIGSTOP)
        relay.cut()
        relay.mend()
        stall(predict, ear, 1.0, others_hear=False)
        ear.wait_for_seq(before + 550)
        assert relay.severed > 0
        count = ear.next_seq
        gaps = ear.missing(count)
        must_keep_the_promise(ear, scene, count, [(Kind.INPUT, gap) for gap in gaps])
        missing = sum(map(len, gaps))
        assert ear.wait_for_status("demo")["gap_samples"] == missing > 0
        for command in (predict, source):
            assert command.stop() == 0
    injected("predictor stopped for longer than retention", 1, gap_samples=missing)


def test_a_listener_stopped_misses_nothing_and_delays_nobody(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject
) -> None:
    scene = Scene(seed=int(rng.integers(1000)))
    source_port, relay_port, predict_port = ports(), ports(), ports()
    source_at, predict_at = f"tcp://127.0.0.1:{source_port}", f"tcp://127.0.0.1:{predict_port}"
    count = 1000
    ear = listen(predict_at)
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--wait", 2, *scene.predict())
    ways = [(relay_port + offset, predict_port + offset) for offset in (0, REPLAY_OFFSET)]
    with TcpRelay(*ways) as relay:
        listener = start("listen", "--predictor", f"tcp://127.0.0.1:{relay_port}", "--reliable", "--count", count)
        source = start("source", "--bind", source_at, "--wait", "--linger", 60, *scene.source())
        ear.wait_for_seq(int(rng.integers(50, 200)))
        listener.process.send_signal(signal.SIGSTOP)
        relay.cut()  # what its queue would have held is lost
        relay.mend()
        stall(listener, ear, 1.0, others_hear=True)
        lines = [json.loads(line) for line in listener.ends().splitlines()]
        assert relay.severed > 0
    assert [line["seq"] for line in lines] == list(range(count))
    golden = scene.golden(count).estimates[:, 0, 0]
    np.testing.assert_array_equal(np.float32([line["estimate"][0] for line in lines]), golden)
    assert peak_mb(predict.process.pid) < MAX_MB
    must_keep_the_promise(ear, scene, count)
    for command in (predict, source):
        assert command.stop() == 0
    injected("listener stopped for less than the predictor retains", 1)


def test_a_listener_stopped_for_longer_than_retention_is_told_what_it_missed(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject
) -> None:
    scene = Scene(seed=int(rng.integers(1000)))
    source_port, relay_port, predict_port = ports(), ports(), ports()
    source_at, predict_at = f"tcp://127.0.0.1:{source_port}", f"tcp://127.0.0.1:{predict_port}"
    ear = listen(predict_at)
    predict = start(
        "predict", "--source", source_at, "--bind", predict_at, "--wait", 2, "--retain", 0.3, *scene.predict()
    )
    ways = [(relay_port + offset, predict_port + offset) for offset in (0, REPLAY_OFFSET)]
    with TcpRelay(*ways) as relay:
        listener = start("listen", "--predictor", f"tcp://127.0.0.1:{relay_port}", "--reliable", "--count", 600)
        source = start("source", "--bind", source_at, "--wait", "--linger", 60, *scene.source())
        ear.wait_for_seq(int(rng.integers(50, 200)))
        listener.process.send_signal(signal.SIGSTOP)
        relay.cut()
        relay.mend()
        stall(listener, ear, 1.0, others_hear=True)
        lines = [json.loads(line) for line in listener.ends().splitlines()]
    told = [(line["seq"], line["samples"] if "gap" in line else 1) for line in lines]
    missing = sum(samples for _, samples in told) - len([line for line in lines if "gap" not in line])
    assert missing > 0
    # One line after another, each sample is either an estimate or in a gap.
    assert [seq for seq, _ in told] == [0, *np.cumsum([samples for _, samples in told])[:-1]]
    must_keep_the_promise(ear, scene, ear.next_seq)
    for command in (predict, source):
        assert command.stop() == 0
    injected("listener stopped for longer than the predictor retains", 1, gap_samples=missing)
