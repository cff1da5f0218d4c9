"""Whether a signal is one that the model knows: what gives strangers away, and what does not."""

import dataclasses

import numpy as np
import pytest

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.daemon.domain_check import CHANNELS as CHANNEL_LIMIT
from predictor.daemon.domain_check import ENTRIES, DomainCheck, Verdict
from predictor.engine.stepper import Engine
from predictor.engine.timescale import TimeScale, time_scale
from tests.support.simulation import answer, at, chunk, joined, said, status_of
from trainer.model import ModelConfig, new_model
from trainer.model_file import load_model

MODEL = load_model("default")
SAMPLES = 600
CHANNELS = 8


def tones(cycle: float, snr_db: float | None = None, samples: int = SAMPLES) -> np.ndarray:
    generator = np.random.default_rng(400)
    turns = np.arange(samples)[:, None] / cycle + generator.uniform(size=CHANNELS)
    noise = 0 if snr_db is None else generator.standard_normal(turns.shape) * np.sqrt(0.5) * 10 ** (-snr_db / 20)
    return np.float32(np.sin(2 * np.pi * turns) + noise)


def strange(kind: str) -> np.ndarray:
    generator = np.random.default_rng(401)
    time = np.arange(SAMPLES)[:, None] + 3 * np.arange(CHANNELS)
    return np.float32(
        {
            "white noise": generator.standard_normal(time.shape),
            "random walk": np.cumsum(generator.standard_normal(time.shape), axis=0),
            "constant": np.ones(time.shape),
            "pulses": time % 100 < 5,
        }[kind]
    )


def judged(inputs: np.ndarray, scale: TimeScale | None = None) -> DomainCheck:
    """The verdict on the end of a signal."""
    scale = scale or TimeScale()
    stage = scale.stage(Engine(MODEL.config, MODEL.weights))
    estimates, _ = stage.run(inputs, stage.initial_state(inputs.shape[1]))
    familiarity = DomainCheck(MODEL, scale, inputs.shape[1])
    last = ENTRIES * scale.hop_samples
    familiarity.add(inputs[-last:], estimates[-last:])
    familiarity.judge()
    return familiarity


@pytest.mark.parametrize("cycle", [12, 18, 25, 36, 50])
@pytest.mark.parametrize("snr_db", [None, 10, 0])
def test_a_tone_in_range_is_familiar_through_noise(cycle: float, snr_db: float | None) -> None:
    verdict = judged(tones(cycle, snr_db))
    assert verdict.familiar is True
    assert verdict.cycle_samples == pytest.approx(cycle, rel=0.05)


@pytest.mark.parametrize("cycle", [2.5, 3, 4, 5, 6, 8, 10, 60, 80, 200, 500])
@pytest.mark.parametrize("snr_db", [None, 10])
def test_a_tone_out_of_range_is_strange(cycle: float, snr_db: float | None) -> None:
    assert judged(tones(cycle, snr_db)).familiar is False


@pytest.mark.parametrize("kind", ["white noise", "random walk", "constant", "pulses"])
def test_what_is_no_tone_is_strange(kind: str) -> None:
    assert judged(strange(kind)).familiar is False


@pytest.mark.parametrize("offset", [0.3, 3, 420, 1e5])
@pytest.mark.parametrize("drift", [0, 0.01])
def test_a_tone_is_familiar_on_any_offset_with_drift_and_a_wild_sample(offset: float, drift: float) -> None:
    inputs = tones(25) + np.float32(offset) + np.float32(drift) * np.arange(SAMPLES, dtype=np.float32)[:, None]
    inputs[-100] += 1e6
    verdict = judged(inputs)
    assert verdict.familiar is True
    assert verdict.unfamiliar_channels == []
    assert verdict.cycle_samples == pytest.approx(25, rel=0.02)


@pytest.mark.parametrize("strange_channels", [[1, 4, 6], [0], [0, 1, 2, 3, 4, 5, 7]])
def test_channels_that_the_model_does_not_know_are_named(strange_channels: list[int]) -> None:
    inputs = tones(20)
    for channel in strange_channels:
        inputs[:, channel] = tones(100)[:, channel]
    verdict = judged(inputs)
    assert verdict.unfamiliar_channels == strange_channels
    assert verdict.familiar is (len(strange_channels) < 4)


def test_a_silent_channel_is_not_judged() -> None:
    inputs = tones(20)
    inputs[:, 3] = 0
    assert judged(inputs).unfamiliar_channels == []


@pytest.mark.parametrize(
    ("cycle", "nominal", "familiar"),
    [(250, 250, True), (480, 250, True), (800, 250, False), (100, 250, False), (6, 6, True), (25, 6, False)],
)
def test_the_range_is_on_the_streams_scale(cycle: float, nominal: int, familiar: bool) -> None:
    verdict = judged(tones(cycle, 20, samples=max(600, 20 * nominal)), time_scale(nominal, 1.0))
    assert verdict.familiar is familiar
    assert verdict.cycle_samples == pytest.approx(cycle, rel=0.2)


def test_a_verdict_takes_its_entries_however_they_come_and_then_rests() -> None:
    inputs = tones(20)
    estimates = np.stack([np.cos(inputs), inputs], axis=-1)
    whole, pieces = (DomainCheck(MODEL, TimeScale(samples=10), CHANNELS) for _ in range(2))
    assert whole._scale.hop_samples == 2
    whole.add(inputs, estimates)
    for first in range(0, SAMPLES, 7):
        pieces.add(inputs[first : first + 7], estimates[first : first + 7])
    np.testing.assert_array_equal(pieces._entries, whole._entries)
    np.testing.assert_array_equal(whole._entries[..., 0], inputs[: 2 * ENTRIES : 2])


def test_very_many_channels_are_judged_by_turns() -> None:
    channels = 2 * CHANNEL_LIMIT + 3
    angle = 2 * np.pi * np.arange(ENTRIES)[:, None] / np.where(np.arange(channels) % 5, 20, 100)
    inputs = np.float32(np.sin(angle))
    estimates = np.float32(np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    familiarity = DomainCheck(MODEL, TimeScale(), channels)
    strange: list[set[int]] = []
    for _ in range(3):
        familiarity.add(inputs, estimates)
        familiarity.judge()
        strange.append(set(np.flatnonzero(familiarity.verdicts == Verdict.UNFAMILIAR).tolist()))
    assert strange[0] < strange[1] < strange[2] == set(range(0, channels, 5))
    assert familiarity.unfamiliar_channels == sorted(strange[2])[:100]


@pytest.mark.parametrize(
    "model",
    [new_model(ModelConfig("rnn", 4), seed=0), load_model("tutorial")],
    ids=["random weights", "cos alone"],
)
def test_nothing_is_said_of_a_model_that_nothing_is_known_of(model: object) -> None:
    core = Predictor(model)  # type: ignore[arg-type]
    answer(core, [chunk(0, tones(8))])
    status = status_of(core)
    assert (status["familiar"], status["cycle_samples"]) == (None, None)


def test_silence_is_not_judged() -> None:
    assert judged(np.zeros((SAMPLES, 1), np.float32)).familiar is None


# In the daemon


def test_the_status_says_it_and_a_line_each_time_it_changes() -> None:
    core = Predictor(MODEL)
    lines: list[list[str]] = []
    for second, cycle in enumerate([20, 20, 100, 100, 20, 20]):
        answer(core, [chunk(second * SAMPLES, tones(cycle)[:, :1])], second)
        effects = list(core.tick(at(second + 0.5)))
        lines.append([line for line in said(effects) if "model's range" in line])
    assert [len(each) for each in lines] == [0, 0, 1, 0, 1, 0]
    assert "out of the model's range, 12 to 50 samples a cycle: " in lines[2][0]
    assert "within the model's range again: " in lines[4][0]
    status = status_of(core, seconds=7)
    assert status["familiar"] is True
    assert status["cycle_samples"] == pytest.approx(20, rel=0.01)


def test_channels_out_of_range_are_in_the_status_and_said_once() -> None:
    core = Predictor(MODEL)
    lines: list[list[str]] = []
    for second, strange_channels in enumerate([[], [1, 4, 6], [1, 4, 6], [4], [4, 5], []]):
        inputs = tones(20)
        inputs[:, strange_channels] = tones(100)[:, strange_channels]
        for half in range(2):  # the first still holds some of the second before
            answer(core, [chunk((2 * second + half) * SAMPLES, inputs)], 2 * second + half)
            lines.append([line for line in said(core.tick(at(2 * second + half + 0.5))) if "range" in line])
            status = status_of(core, seconds=2 * second + half + 0.6)
        assert status["unfamiliar_channels"] == strange_channels
        assert status["familiar"] is True
    assert [len(each) for each in lines] == [0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0]
    assert "channels 1, 4, 6 of 8 out of the model's range" in lines[2][0]
    assert "channels 4, 5 of 8 out" in lines[8][0]
    assert "all channels are in the model's range again" in lines[10][0]


def test_a_frequency_at_the_edge_does_not_flicker() -> None:
    verdicts = []
    familiarity = DomainCheck(MODEL, TimeScale(), CHANNELS)
    for cycle in (49, 52, 49, 56, 52, 54, 49):
        turns = 2 * np.pi * np.arange(ENTRIES)[:, None] / cycle * np.ones(CHANNELS)
        familiarity.add(np.float32(np.sin(turns)), np.float32(np.stack([np.cos(turns), np.sin(turns)], axis=-1)))
        familiarity.judge()
        verdicts.append(familiarity.familiar)
    assert verdicts == [True, True, True, False, False, False, True]


def test_a_stream_is_scaled_by_its_own_rate_and_says_so() -> None:
    core = Predictor(MODEL, PredictorConfig(nominal_hz=0.4))
    signal = tones(250, samples=4000)[:, :1]
    effects = list(core.receive([chunk(0, signal)], at(0)))
    assert any(
        "about 250 samples a cycle: the model takes the mean of 10 samples a step" in t for t in said(effects)
    )
    status = status_of(core)
    assert (status["samples_per_step"], status["familiar"]) == (10.0, True)


def test_scaled_streams_that_arrive_together_are_answered_as_if_alone() -> None:
    signals = {"slow": tones(250, 10)[:60, :1], "slower": tones(500, 10)[:60, :2]}
    config = PredictorConfig(nominal_hz=0.4)
    together = Predictor(MODEL, config)
    for n in range(0, 60, 3):
        messages = [chunk(n, values[n : n + 3], stream=name) for name, values in signals.items()]
        estimates = {each.stream: each for each in answer(together, messages)}
        for name, values in signals.items():
            alone = joined(answer(Predictor(MODEL, config), [chunk(0, values[: n + 3], stream=name)]))
            assert estimates[name].values.tobytes() == alone[n:].tobytes()


@pytest.mark.parametrize(("rate_hz", "says"), [(0.0, "needs the rate"), (1.0, "at least 4 samples a cycle")])
def test_a_stream_that_cannot_be_scaled_is_answered_as_it_is_with_a_warning(rate_hz: float, says: str) -> None:
    core = Predictor(MODEL, PredictorConfig(nominal_hz=0.4))
    heard = dataclasses.replace(chunk(0, tones(20)), rate_hz=rate_hz)
    effects = list(core.receive([heard], at(0)))
    assert any(says in line and "takes each sample as it is" in line for line in said(effects))
    assert status_of(core)["samples_per_step"] == 1
