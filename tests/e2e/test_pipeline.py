"""The real commands as processes over real sockets."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

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


def test_every_sample_comes_back_as_the_core_would_answer_it(start: Starter, addresses: tuple[str, str]) -> None:
    """In whatever order they start: each waits for the next one to listen."""
    source_at, predict_at = addresses
    source = start("source", "--bind", source_at, "--rate", "max", "--count", 500, "--channels", 2, "--wait")
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--model", "new", "--wait")
    listen = start("listen", "--predictor", predict_at, "--count", 500)
    heard = lines(listen.ends())
    source.ends()
    assert predict.stop() == 0
    assert [line["seq"] for line in heard] == list(range(500))
    assert len({line["run"] for line in heard}) == 1
    expected = joined(answer(Predictor(new_model(NEW, seed=0)), published(Signal(channels=2), 500)))
    np.testing.assert_array_equal(np.float32([line["estimate"] for line in heard]), expected[..., 0])
    np.testing.assert_array_equal(np.float32([line["sin"] for line in heard]), expected[..., 1])


def test_a_recording_of_the_stream_gets_the_estimates_that_were_published(
    start: Starter, addresses: tuple[str, str], tmp_path: Path
) -> None:
    source_at, predict_at = addresses
    start("source", "--bind", source_at, "--rate", "max", "--count", 300, "--noise", 0.1, "--seed", 3, "--wait")
    start("predict", "--source", source_at, "--bind", predict_at, "--wait")
    published = lines(start("listen", "--predictor", predict_at, "--count", 300).ends())
    np.save(tmp_path / "in.npy", Signal(noise=0.1, seed=3).samples(0, 300)[0][..., 0])
    apply = start("apply", tmp_path / "in.npy", tmp_path / "out.npy")
    apply.ends()
    assert apply.process.returncode == 0
    estimates = np.load(tmp_path / "out.npy")
    np.testing.assert_array_equal(estimates[..., 0], np.float32([line["estimate"] for line in published]))
    np.testing.assert_array_equal(estimates[..., 1], np.float32([line["sin"] for line in published]))


def test_learning_brings_the_error_down(start: Starter, addresses: tuple[str, str]) -> None:
    source_at, predict_at = addresses
    listen = start("listen", "--source", source_at, "--predictor", predict_at, "--joined", "--count", 2000)
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--model", "new", "--learn",
                    "--window", 10, "--wait")  # fmt: skip
    # Two listeners: the predictor, and the one that joins.
    start("source", "--bind", source_at, "--rate", "max", "--count", 2000, "--wait", 2)
    heard = lines(listen.ends())
    assert predict.stop() == 0
    error = np.array([line["estimate"] for line in heard]) - np.array([line["target"] for line in heard])
    assert np.sqrt(np.mean(error[:100] ** 2)) > 0.3
    assert np.sqrt(np.mean(error[-200:] ** 2)) < 0.1
    predict.log[-1].index("199 updates")  # the last one would count from a sample on that does not come


def test_a_predictor_killed_joins_again_and_says_where(start: Starter, addresses: tuple[str, str]) -> None:
    source_at, predict_at = addresses
    start("source", "--bind", source_at, "--rate", 500)
    for _ in range(2):
        predict = start("predict", "--source", source_at, "--bind", predict_at, "--model", "new", "--join", "live")
        predict.says(r"run [0-9a-f]{16}, 1 channel\(s\), joined at sample \d+")
        listen = start("listen", "--predictor", predict_at, "--count", 100)
        sequence = [int(str(line["seq"])) for line in lines(listen.ends())]
        assert sequence == list(range(sequence[0], sequence[0] + 100))
        predict.stop(signal.SIGKILL)


def test_a_source_killed_and_started_again_is_a_new_run(start: Starter, addresses: tuple[str, str]) -> None:
    source_at, predict_at = addresses
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--model", "new")
    source = start("source", "--bind", source_at, "--rate", 500, "--wait")
    predict.says(r"run [0-9a-f]{16}")
    source.stop(signal.SIGKILL)
    predict.says("STALE")
    start("source", "--bind", source_at, "--rate", 500, "--wait")
    assert "new run" in predict.says("the source restarted")
    assert "LIVE" in predict.says("LIVE|LOST")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_each_command_at_once_with_everything_said(
    start: Starter, addresses: tuple[str, str], number: int
) -> None:
    source_at, predict_at = addresses
    predict = start("predict", "--source", source_at, "--bind", predict_at, "--model", "new")
    source = start("source", "--bind", source_at, "--rate", 500)
    listen = start("listen", "--predictor", predict_at)
    predict.says(r"run [0-9a-f]{16}")
    assert listen.process.stdout is not None
    first = json.loads(listen.process.stdout.readline())
    assert first["stream"] == "demo"
    for command in (source, predict, listen):
        assert command.stop(number) == 0
    assert "published" in source.log[-1]
    assert "estimates" in predict.log[-1]
    rest = lines(listen.ends())
    assert all(line["stream"] == "demo" for line in rest)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("source", "--rate", "0"), 2, "rate"),
        (("predict", "--window", "5"), 2, "--learn"),
        (("predict", "--learn", "--window", "0"), 2, "--window"),
        (("predict", "--model", "default", "--cell", "gru"), 2, "--model new"),
        (("predict", "--model", "nowhere.safetensors"), 3, "nowhere.safetensors"),
        (("predict", "--model", "tutorial", "--nominal-hz", "1"), 2, "cos alone"),
        (("apply", "nowhere.npy", "out.npy"), 3, "nowhere.npy"),
        (("apply", "nowhere.npy"), 2, "OUTPUT"),
        (("predict", "--model", "new", "--bind", "nonsense"), 4, "nonsense"),
        (("predict", "--model", "new", "--bind", "IN_USE"), 4, "in use"),
        (("source", "--bind", "IN_USE"), 4, "in use"),
        (("console", "--once", "--timeout", "0.2", "--source", "IN_USE", "--predictor", "IN_USE"), 5, ""),
    ],
)
def test_what_cannot_be_used_gets_one_line_and_its_exit_code(
    start: Starter, arguments: tuple[str, ...], code: int, says: str
) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        in_use = f"tcp://127.0.0.1:{occupied.getsockname()[1]}"
        command = start(*(in_use if argument == "IN_USE" else argument for argument in arguments))
        output = command.ends()
    assert (command.process.returncode, output) == (code, "")
    assert "Traceback" not in "\n".join(command.log)
    assert says in command.log[-1]


def test_a_model_file_full_of_rubbish_is_refused(start: Starter, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.safetensors"
    rubbish.write_bytes(bytes(range(256)) * 40)
    command = start("predict", "--model", rubbish)
    command.ends()
    assert command.process.returncode == 3
    assert len(command.log) == 1
    assert "rubbish.safetensors" in command.log[0]
