"""A predictor that keeps its state: killed, refused, reloaded; as processes over real sockets."""

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from predictor.daemon.core import Predictor
from streamer.source.signals import Signal
from tests.support.ports import Ports
from tests.support.processes import Command, Starter, commands
from tests.support.simulation import answer, joined, published
from trainer.model import ModelConfig, new_model
from trainer.model_file import save_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner

NEW = ModelConfig("rnn", 32, level_samples=20.0)  # as --model new makes it
SAMPLES = 3000
LEARNER = partial(OnlineLearner, config=OnlineConfig())


@pytest.fixture
def start() -> Iterator[Starter]:
    with commands() as starter:
        yield starter


@pytest.fixture
def addresses() -> tuple[str, str]:
    ports = Ports()
    return ports.address(), ports.address()


def heard(listen: Command, count: int) -> list[dict[str, object]]:
    assert listen.process.stdout is not None
    return [json.loads(listen.process.stdout.readline()) for _ in range(count)]


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def estimates(told: list[dict[str, object]]) -> np.ndarray:
    return np.float32([line["estimate"] for line in told])


def test_killed_while_it_learns_and_every_estimate_is_that_of_an_undisturbed_run(
    start: Starter, addresses: tuple[str, str], tmp_path: Path
) -> None:
    source_at, predict_at = addresses
    predicting = ["predict", "--source", source_at, "--bind", predict_at, "--model", "new", "--learn", "--wait",
                  "--state-dir", tmp_path, "--checkpoint-every", 0.2]  # fmt: skip
    listen = start("listen", "--predictor", predict_at, "--reliable", "--count", SAMPLES)
    predict = start(*predicting)
    start("source", "--bind", source_at, "--rate", 1000, "--count", SAMPLES, "--wait", "--linger", 30)
    told: list[dict[str, object]] = []
    for _ in range(2):
        told += heard(listen, 900)
        predict.stop(signal.SIGKILL)
        predict = start(*predicting)
        assert "1 stream(s)" in predict.says("continuing from the checkpoint")
    told += lines(listen.ends())
    assert [line["seq"] for line in told] == list(range(SAMPLES))
    core = Predictor(new_model(NEW, seed=0), make_learner=LEARNER)
    expected = answer(core, published(Signal(rate_hz=1000.0), SAMPLES))
    np.testing.assert_array_equal(estimates(told), joined(expected)[..., 0])
    assert core.streams["demo"].counters.updates > 100
    assert predict.stop() == 0
    assert len(list(tmp_path.glob("state-*.safetensors"))) == 3
    assert not list(tmp_path.glob("*.partial"))


def test_after_a_clean_stop_it_goes_on_at_the_very_next_sample(
    start: Starter, addresses: tuple[str, str], tmp_path: Path
) -> None:
    source_at, predict_at = addresses
    predicting = ["predict", "--source", source_at, "--bind", predict_at, "--state-dir", tmp_path, "--wait"]
    predict = start(*predicting)
    listen = start("listen", "--predictor", predict_at, "--count", 200)
    start("source", "--bind", source_at, "--rate", 300, "--wait")
    lines(listen.ends())
    assert predict.stop() == 0
    first = int(predict.log[-1].split("stream demo: ")[1].split(" ")[0])
    predict = start(*predicting)
    listen = start("listen", "--predictor", predict_at, "--count", 50)
    told = lines(listen.ends())
    assert [line["seq"] for line in told] == list(range(first, first + 50))


def test_a_state_in_use_or_of_another_model_is_refused_in_one_line(
    start: Starter, addresses: tuple[str, str], tmp_path: Path
) -> None:
    source_at, predict_at = addresses
    keeping = ("--source", source_at, "--state-dir", tmp_path)
    predict = start("predict", *keeping, "--bind", predict_at, "--model", "new")
    start("source", "--bind", source_at, "--rate", 50, "--wait")
    predict.says(r"run [0-9a-f]{16}")
    second = start("predict", *keeping, "--model", "new", "--bind", Ports().address())
    second.ends()
    assert (second.process.returncode, len(second.log)) == (6, 1)
    assert f"process {predict.process.pid}" in second.log[0]
    assert predict.stop() == 0
    for other, says in ((("--model", "default"), "another model"), (("--model", "new", "--learn"), "--learn")):
        refused = start("predict", *keeping, *other, "--bind", predict_at)
        refused.ends()
        assert (refused.process.returncode, len(refused.log)) == (6, 1)
        assert says in refused.log[0]
        assert "another directory" in refused.log[0]
    (newest, *_) = sorted(tmp_path.glob("state-*.safetensors"), reverse=True)
    newest.write_bytes(newest.read_bytes()[:-1])
    again = start("predict", *keeping, "--bind", predict_at, "--model", "new")
    assert newest.name in again.says("damaged|not a state")


def test_sighup_takes_the_model_file_anew_and_loses_no_sample(
    start: Starter, addresses: tuple[str, str], tmp_path: Path
) -> None:
    source_at, predict_at = addresses
    path = tmp_path / "mine.safetensors"
    first, second = (new_model(ModelConfig("gru", 8, level_samples=20.0), seed=seed) for seed in (1, 2))
    save_model(first, path)
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--model", path, "--wait")
    listen = start("listen", "--predictor", predict_at, "--count", 1500)
    start("source", "--bind", source_at, "--rate", 500, "--wait", "--count", 1500, "--linger", 600)
    told = heard(listen, 200)
    save_model(second, path)
    predict.process.send_signal(signal.SIGHUP)
    assert "states are kept" in predict.says("reloaded")
    told += heard(listen, 200)
    path.write_bytes(b"rubbish")
    predict.process.send_signal(signal.SIGHUP)
    assert "the present one goes on" in predict.says("not reloaded")
    told += lines(listen.ends())
    assert [line["seq"] for line in told] == list(range(1500))
    said = published(Signal(rate_hz=500.0), 1500)
    expected = [joined(answer(Predictor(model), said))[..., 0] for model in (first, second)]
    changed = int(np.argmax(estimates(told) != expected[0]))
    assert 200 <= changed < 1000, "one model before, the other after"
    core = Predictor(first)
    now = answer(core, [m for m in said if getattr(m, "seq", changed) < changed])
    list(core.reload(second))
    now += answer(core, [m for m in said if getattr(m, "seq", -1) >= changed])
    np.testing.assert_array_equal(estimates(told), joined(now)[..., 0])
    assert predict.stop() == 0
