"""Samples and estimates asked for again, by the real commands over real sockets."""

import json
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from predictor.daemon.core import Predictor
from streamer.source.signals import Signal
from tests.support.ports import Ports
from tests.support.processes import Starter, commands
from tests.support.simulation import answer, joined, published
from trainer.model import ModelConfig, new_model

NEW = ModelConfig("rnn", 32, level_samples=20.0)


@pytest.fixture
def start() -> Iterator[Starter]:
    with commands() as starter:
        yield starter


@pytest.fixture
def addresses() -> tuple[str, str]:
    ports = Ports()
    return ports.address(), ports.address()


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def estimates(count: int) -> np.ndarray:
    return joined(answer(Predictor(new_model(NEW, seed=0)), published(Signal(rate_hz=1000.0), count)))[..., 0]


def test_who_comes_late_gets_everything_from_the_first_sample_on(
    start: Starter, addresses: tuple[str, str]
) -> None:
    """A predictor from its source, and a listener from that predictor."""
    source_at, predict_at = addresses
    kept = ["--retain", 600]  # however slow the machine is
    start("source", "--bind", source_at, "--rate", 1000, "--count", 1500, "--wait", *kept, "--linger", 600)
    start("listen", "--source", source_at, "--kind", "input", "--count", 1500).ends()
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--model", "new", *kept)
    predict.says(r"run [0-9a-f]{16}, 1 channel\(s\)$")  # and not: joined at sample ...
    heard, later = (
        lines(start("listen", "--predictor", predict_at, "--reliable", "--count", 1500).ends()) for _ in range(2)
    )
    assert [line["seq"] for line in heard] == list(range(1500))
    assert heard == later  # when all had been said
    np.testing.assert_array_equal(np.float32([line["estimate"] for line in heard]), estimates(1500))


def test_a_reliable_listener_outlives_a_predictor_that_is_killed(
    start: Starter, addresses: tuple[str, str]
) -> None:
    source_at, predict_at = addresses
    predicting = ["predict", "--source", source_at, "--bind", predict_at, "--model", "new"]
    start("source", "--bind", source_at, "--rate", 1000, "--count", 2000, "--retain", 600, "--linger", 600)
    listen = start("listen", "--predictor", predict_at, "--reliable", "--count", 2000)
    assert listen.process.stdout is not None
    predict = start(*predicting)
    first = [json.loads(listen.process.stdout.readline()) for _ in range(300)]
    predict.stop(signal.SIGKILL)
    start(*predicting)
    heard = first + lines(listen.ends())
    assert [line["seq"] for line in heard] == list(range(2000))
    np.testing.assert_array_equal(np.float32([line["estimate"] for line in heard]), estimates(2000))
