"""The daemon's core while it learns on the signals themselves."""

import json
import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from predictor import cli
from predictor.api.settings import choose_learning, choose_model
from predictor.daemon.core import Predictor, PredictorConfig
from streamer.effects import WARNING, Say
from streamer.errors import UsageError
from streamer.messages import Chunk, Kind, Status
from streamer.ordering.retry import RetryPolicy
from streamer.wire import codec
from tests.support.simulation import answer, at, chunk, joined, said, sent, status_of
from trainer.model import Model, ModelConfig, new_model

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "status.md"
GIVEN = choose_learning("self", (3.3, 4.8)).self_config  # of the simulation's 100 samples a second
FOUND = choose_learning("self").self_config


def model() -> Model:
    """One that knows nothing, so that anything learnt is better."""
    return new_model(ModelConfig("gru", 8, level_samples=20.0), seed=2)


def wave(samples: int = 4000, channels: int = 1, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of 4 Hz in noise [samples, channels], and their cos."""
    generator = np.random.default_rng(seed)
    phase = 2 * np.pi * (0.04 * np.arange(samples)[:, None] + generator.uniform(size=channels))
    return np.sin(phase) + 0.1 * generator.standard_normal(phase.shape), np.cos(phase)


def chunks(inputs: np.ndarray, size: int, **fields: object) -> list[Chunk]:
    return [chunk(first, inputs[first : first + size], **fields) for first in range(0, len(inputs), size)]  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [GIVEN, FOUND])
def test_without_any_target_estimates_become_right(config: object) -> None:
    inputs, cos = wave(channels=2)
    core = Predictor(model(), self_config=config)  # type: ignore[arg-type]
    estimates = joined(answer(core, chunks(inputs, 7)))
    assert len(estimates) == len(inputs)
    rmse = np.sqrt(np.mean((estimates[-1000:, :, 0] - cos[-1000:]) ** 2))
    assert rmse < 0.1
    learning = status_of(core)["learning"]
    assert isinstance(learning, dict)
    assert learning["serving_channels"] == 2
    assert learning["challenger_deg"] < learning["champion_deg"]
    low_hz, high_hz = learning["band_hz"]
    assert low_hz < 4 < high_hz


@pytest.mark.parametrize("config", [GIVEN, FOUND])
@pytest.mark.parametrize("size", [1, 13, 4000])
def test_neither_chunks_nor_idle_time_change_a_bit(config: object, size: int) -> None:
    inputs, _ = wave(3000, channels=2)
    expected, learnt = in_hundreds(config)
    idle = Predictor(model(), self_config=config)  # type: ignore[arg-type]
    estimates = []
    for piece in chunks(inputs, size):
        estimates += answer(idle, [piece])
        while idle.work() is not None:
            pass
    np.testing.assert_array_equal(joined(estimates), expected)
    assert status_of(idle)["learning"] == learnt


@cache
def in_hundreds(config: object) -> tuple[np.ndarray, object]:
    """What comes of 3,000 samples in chunks of a hundred, and what the status then says of learning."""
    core = Predictor(model(), self_config=config)  # type: ignore[arg-type]
    estimates = joined(answer(core, chunks(wave(3000, channels=2)[0], 100)))
    while core.work() is not None:
        pass
    return estimates, status_of(core)["learning"]


def test_an_estimate_tells_the_fit_that_made_it() -> None:
    inputs, _ = wave(1000)
    for size in (1, 1000):
        core = Predictor(model(), self_config=GIVEN)
        estimates = answer(core, chunks(inputs, size))
        versions = {e.seq + k: e.model_version for e in estimates for k in range(len(e.values))}
        assert list(versions) == list(range(1000))
        assert versions[0] == 0
        first = min(seq for seq, version in versions.items() if version == 1)
        assert [versions[first + 25 * k] for k in range(5)] == [1, 2, 3, 4, 5]  # one fit a cycle


def test_streams_learn_for_themselves() -> None:
    inputs, _ = wave(1500)
    other, _ = wave(1500, seed=8)
    alone = joined(answer(Predictor(model(), self_config=GIVEN), chunks(inputs, 10)))
    both = []
    core = Predictor(model(), self_config=GIVEN)
    for mine, theirs in zip(chunks(inputs, 10), chunks(5 * other, 10, stream="other"), strict=True):
        both += answer(core, [mine, theirs])
    np.testing.assert_array_equal(joined([e for e in both if e.stream == "demo"]), alone)


def test_a_new_run_starts_as_a_new_stream_does() -> None:
    inputs, _ = wave(2000)
    core = Predictor(model(), self_config=GIVEN)
    answer(core, chunks(3 * inputs, 10))
    again = joined(answer(core, chunks(inputs, 10, run=2)))
    np.testing.assert_array_equal(
        again, joined(answer(Predictor(model(), self_config=GIVEN), chunks(inputs, 10, run=2)))
    )


def test_a_gap_costs_what_was_waiting_and_nothing_else() -> None:
    inputs, cos = wave(6000)
    core = Predictor(model(), PredictorConfig(retry_policy=RetryPolicy(deadline_s=0)), self_config=GIVEN)
    answer(core, chunks(inputs[:3000], 10))
    later = [chunk(first, inputs[first : first + 10]) for first in range(3300, 6000, 10)]
    estimates = joined(answer(core, later))
    assert status_of(core)["gaps"] == 1
    assert np.sqrt(np.mean((estimates[-1000:, 0, 0] - cos[-1000:, 0]) ** 2)) < 0.1


@pytest.mark.parametrize("bad", [np.nan, 1e38, 1e30])
def test_bad_samples_are_harmless(bad: float) -> None:
    inputs, cos = wave(8000)
    inputs[1500:1505] = bad
    core = Predictor(model(), self_config=GIVEN)
    estimates = joined(answer(core, chunks(inputs, 50)))
    assert np.isfinite(estimates).all()
    assert np.sqrt(np.mean((estimates[-1000:, 0, 0] - cos[-1000:, 0]) ** 2)) < 0.1


def test_published_targets_are_scored_as_ever() -> None:
    inputs, cos = wave(3000)
    core = Predictor(model(), self_config=GIVEN)
    for heard, truth in zip(chunks(inputs, 10), chunks(cos, 10, kind=Kind.TARGET), strict=True):
        answer(core, [heard, truth])
    status = status_of(core)
    assert status["scored"] == 3000
    assert status["prequential_rmse"] < 0.1  # type: ignore[operator]


def test_what_happens_is_said_and_the_status_passes_the_wire() -> None:
    inputs, _ = wave(2000)
    core = Predictor(model(), self_config=GIVEN)
    statuses = [m for m in sent(core.tick(at(0))) if isinstance(m, Status)]
    answer(core, chunks(inputs, 10))
    effects = list(core.tick(at(2)))
    lines = said(effects)
    assert any("learning on itself, from 3.3 to 4.8 Hz" in line for line in lines)
    assert any("what is learnt serves from the first sample" in line for line in lines)
    statuses += [m for m in sent(effects) if isinstance(m, Status)]
    assert len(statuses) == 3
    for status in statuses:
        assert codec.decode(codec.encode(status)) == status
    assert statuses[-2].body["learning"] is True
    assert "updates" in core.streams["demo"].summary()


def test_that_nothing_can_be_learnt_is_a_warning() -> None:
    core = Predictor(
        model(), self_config=choose_learning("self", (30, 49)).self_config
    )  # beyond 0.45 times 100 Hz
    effects = [*core.receive([chunk(0, [0.0, 1.0])], at(0.1)), *core.tick(at(1.0))]
    lines = [effect for effect in effects if isinstance(effect, Say) and "not learning" in effect.text]
    assert [line.level for line in lines] == [WARNING]
    core = Predictor(model(), self_config=GIVEN)
    effects = [*core.receive([chunk(0, [0.0, 1.0])], at(0.1)), *core.tick(at(1.0))]
    assert WARNING not in [effect.level for effect in effects if isinstance(effect, Say)]


def test_a_nominal_frequency_and_learning_go_together() -> None:
    generator = np.random.default_rng(3)
    phase = 2 * np.pi * 0.01 * np.arange(16_000)[:, None]
    inputs = np.sin(phase) + 0.1 * generator.standard_normal(phase.shape)
    config = choose_learning("self", nominal_hz=1.0).self_config
    core = Predictor(model(), PredictorConfig(nominal_hz=1.0), self_config=config)
    estimates = joined(answer(core, chunks(inputs, 1000)))
    assert np.sqrt(np.mean((estimates[-5000:, 0, 0] - np.cos(phase[-5000:, 0])) ** 2)) < 0.1


def test_the_page_lists_every_member_of_the_status() -> None:
    examples = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    inputs, _ = wave(500)
    core = Predictor(model(), self_config=GIVEN)
    answer(core, chunks(inputs, 10))
    learning = status_of(core)["learning"]
    assert isinstance(learning, dict)
    assert list(json.loads(examples[2])) == list(learning)


def test_a_recording_is_learnt_from_as_a_stream_is(tmp_path: Path) -> None:
    inputs, _ = wave(1500, channels=2)
    np.save(tmp_path / "in.npy", inputs.astype(np.float32))
    files = [str(tmp_path / name) for name in ("in.npy", "out.npy")]
    options = ["--rate", "100", "--model", "new", "--seed", "3", "--learn", "self", "--band", "3.3,4.8", "-q"]
    result = CliRunner().invoke(cli.cli, ["apply", *files, *options])
    assert result.exit_code == 0, result.output
    core = Predictor(choose_model("new", {}, 3), self_config=GIVEN)
    expected = joined(answer(core, chunks(inputs.astype(np.float32), 100)))
    np.testing.assert_array_equal(np.load(files[1]), expected)
    assert status_of(core)["learning"]["serving_channels"] == 2  # type: ignore[index]


def test_options_that_do_not_go_together_are_refused() -> None:
    for arguments, message in (
        ((None, (8, 12)), "--band: needs --learn self"),
        (("target", (8, 12)), "--band: needs --learn self"),
        (("self", None, 5), "need --learn target"),
        (("self", (12, 8)), "LOW < HIGH"),
        (("self", (math.nan, 8)), "LOW < HIGH"),
    ):
        with pytest.raises(UsageError, match=message):
            choose_learning(*arguments)  # type: ignore[arg-type]
    result = CliRunner().invoke(cli.cli, ["apply", "in.npy", "out.npy", "--learn", "self", "--band", "8"])
    assert isinstance(result.exception, UsageError)
    assert "--band: must be LOW,HIGH in Hz, such as 8,12, got '8'" in str(result.exception)
    assert str(choose_learning(None)) == "not learning"
    assert choose_learning("target").make_learner is not None
    assert choose_learning("self", (8, 12)).self_config.band_hz == (8.0, 12.0)  # type: ignore[union-attr]


@pytest.mark.parametrize("command", ["predict", "apply"])
def test_the_commands_have_the_options(command: str) -> None:
    text = CliRunner().invoke(cli.cli, [command, "--help"]).output
    for option in ("--learn [target|self]", "--band LOW,HIGH", "--window", "--stride", "--learning-rate"):
        assert option in text
